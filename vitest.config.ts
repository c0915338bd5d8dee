/**
 * How `npm test` runs: every package and script from its sources, two processes at a time, one thread of
 * tensor work each, so that a two-core machine is busy but not oversubscribed.
 */
import { defineConfig } from "vitest/config";
import { SummaryReporter } from "./scripts/test/summary.mjs";

const conditions = ["source", "node", "import", "module", "default"];

const common = {
  pool: "forks",
  testTimeout: 300_000,
  hookTimeout: 300_000,
  // A busy machine is slow; what never comes still ends the test.
  expect: { poll: { timeout: 120_000 } },
  env: { OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1", MKL_NUM_THREADS: "1" },
} as const;

export default defineConfig({
  test: {
    reporters: ["default", new SummaryReporter()],
    maxWorkers: 2,
    projects: [
      {
        resolve: { conditions },
        // These also reach Node itself: "import" among them would give an ES module to a package that requires itself,
        // and "module" one that only bundlers can load.
        ssr: {
          resolve: { conditions: ["source", "node", "default"], externalConditions: ["source", "node"] },
        },
        test: {
          ...common,
          name: "sources",
          include: [
            "packages/*/src/**/*.test.ts",
            "models/*/training/**/*.test.ts",
            "scripts/**/*.test.{ts,mjs}",
          ],
        },
      },
      {
        // Against the compiled packages: a package under fal's client has a "source" too, which Node cannot run.
        test: { ...common, name: "clients", include: ["tests/clients/**/*.test.ts"] },
      },
    ],
  },
});
