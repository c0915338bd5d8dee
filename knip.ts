/**
 * What `knip` calls unused: files, exports and dependencies that no program reaches.
 *
 * Entries are the programs. A pattern that ends in `!` also counts under `--production`, where tests do not: that run
 * finds code that only tests use. There, an export that its own file uses is fine, because tests reach parts directly.
 */
import type { KnipConfig } from "knip";

const production = process.argv.includes("--production");
const tests = ["!src/**/*.test.ts!", "!src/**/{testing,scenarios}/**!"];

/** Tested code that no program runs yet: released models as single files, long videos, and conditions for generation. */
const waiting: Record<string, ("exports" | "files")[]> = {
  "packages/ltx/src/ltxv/vae/tiling.ts": ["exports"],
  ...(production && {
    "packages/ltx/src/ltxv/{conditions,single-file}.ts": ["files"],
    "packages/ltx/src/ltxv/vae/released.ts": ["files"],
    "packages/ltx/src/ltxv/{config,t5/config}.ts": ["exports"],
    "packages/ltx/src/{latent-grid,sampling/schedule}.ts": ["exports"],
  }),
};

const config: KnipConfig = {
  // A type that occurs in an exported signature may be exported, also when nobody imports it by name.
  ignoreExportsUsedInFile: production ? true : { type: true, interface: true },
  // Programs of the system: ffmpeg, cmake, openssl and others, looked up on PATH.
  ignoreBinaries: [/.*/],
  // An entry or an export that does not exist; an exception that is not needed any more.
  treatConfigHintsAsErrors: true,
  workspaces: {
    ".": {
      entry: [
        "scripts/{setup,bench}/main.mjs!",
        "scripts/{demo,lock,check-structure}.mjs!",
        "scripts/bench/{main,block,build}.{ts,mjs}!",
        "scripts/demo/measure-effect.ts!",
        "scripts/fixtures/write-lora-case.ts!",
        "models/ltx-nano/training/{eval-nano,export,export-vae,pretrain-transformer,pretrain-vae,sample}.ts!",
        "models/ltx-nano/training/example/make-example.ts!",
        "models/ltx-nano/training/vocabulary/make-vocabulary.ts!",
        "models/ltx-nano/training/ranks/testing/average.ts",
        "examples/typescript/*.ts",
        "tests/clients/versions/any-version.mjs",
      ],
      project: [
        "{scripts,models,examples,tests}/**/*.{ts,mjs}!",
        "!**/*.test.{ts,mjs}!",
        "!**/testing/**!",
        "!{examples,tests,scripts/test}/**!",
      ],
      ignoreDependencies: [
        // dependency-cruiser loads it by name to read TypeScript.
        "@swc/core",
      ],
    },
    "packages/*": { project: ["src/**/*.ts!", ...tests], includeEntryExports: true },
    "packages/torch": {
      entry: ["scripts/generate-aten.mjs!"],
      project: ["{src,scripts}/**/*.{ts,mjs}!", ...tests],
      includeEntryExports: true,
      // The set-up compiles the addon against its headers.
      ignoreDependencies: ["node-api-headers"],
    },
    "packages/trainer": {
      entry: ["src/main.ts!"],
      project: ["src/**/*.ts!", ...tests],
      includeEntryExports: true,
    },
    "packages/server": {
      entry: ["src/{main,access/keys-main,backup/backup-main}.ts!", "assets/home.js!"],
      project: ["src/**/*.ts!", ...tests],
      includeEntryExports: true,
    },
  },
  ignoreIssues: {
    // Called through the namespaces that they are imported as.
    "packages/server/src/db/migrations/*.ts": ["exports"],
    ...waiting,
  },
};

export default config;
