/** How `npm run test:long` runs: one file after the other, each with the machine to itself, for as long as it takes. */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { SummaryReporter } from "../../scripts/test/summary.mjs";

export default defineConfig({
  resolve: { conditions: ["source", "node", "import", "module", "default"] },
  ssr: {
    resolve: { conditions: ["source", "node", "module", "default"], externalConditions: ["source", "node"] },
  },
  test: {
    root: fileURLToPath(new URL("../..", import.meta.url)),
    include: ["tests/long/**/*.test.ts", "tests/clients/versions/versions.test.ts"],
    env: { FAL_CLIENT_VERSIONS: "all" },
    reporters: ["verbose", new SummaryReporter()],
    pool: "forks",
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 3_600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 200_000 } },
  },
});
