/**
 * How `npm test` runs: every package and script from its sources, two processes at a time, one thread of
 * tensor work each, so that a two-core machine is busy but not oversubscribed.
 */
import { defineConfig } from "vitest/config";
import { SummaryReporter } from "./scripts/test/summary.mjs";

const conditions = ["source", "node", "import", "module", "default"];

export default defineConfig({
  resolve: { conditions },
  // These also reach Node itself: "import" among them would give an ES module to a package that requires itself, and
  // "module" one that only bundlers can load.
  ssr: {
    resolve: { conditions: ["source", "node", "default"], externalConditions: ["source", "node"] },
  },
  test: {
    include: ["packages/*/src/**/*.test.ts", "scripts/**/*.test.{ts,mjs}"],
    reporters: ["default", new SummaryReporter()],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    env: { OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1", MKL_NUM_THREADS: "1" },
  },
});
