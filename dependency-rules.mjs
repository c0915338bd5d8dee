/**
 * Who may import whom, for dependency-cruiser (`npm run check`).
 *
 * Type imports count, for a reader follows them too. Dynamic imports count everywhere but in cycles, which they are
 * there to break.
 */

/** @typedef {import("dependency-cruiser").IForbiddenRuleType} Rule */

/** What packages export: index.ts, and two files for a thread that should load as little as possible. */
const exported = "^packages/([^/]+/src/index|host/src/data-uri|contract/src/is-record)\\.ts$";

const test = "\\.test\\.(ts|mjs)$|/(testing|scenarios)/";

/** What a package may import of our packages. The programs start each other by path, and import nothing of each other. */
const packages = {
  contract: [],
  torch: [],
  ltx: ["torch"],
  host: ["contract"],
  trainer: ["contract", "host", "ltx", "torch"],
  server: ["contract", "host"],
  cli: ["contract", "host"],
};

/**
 * The layers of a folder, lowest first: a layer imports itself and the ones below it. Names on one line (files or
 * folders) do not import each other. A file belongs to the longest name that fits; tests import what they like.
 *
 * @type {Record<string, string[]>}
 */
export const layers = {
  "packages/contract/src": [
    "errors.ts is-record.ts media-extensions.ts secrets.ts sizes.ts",
    "endpoints options",
    "jobs",
    "index.ts",
  ],
  "packages/host/src": [
    "data-uri.ts durable.ts each-line.ts find-on-path.ts places.ts public-address.ts stop-signals.ts",
    "spawn-tied.ts",
    "trainer-process.ts",
    "index.ts",
  ],
  "packages/cli/src": ["display options trainer-process.ts", "commands", "program.ts", "main.ts"],
  "packages/torch/src": [
    "addon/error.ts tensor/dtype.ts",
    "addon/binding.ts",
    "addon/runtime.ts tensor/scope.ts",
    "tensor/tensor.ts",
    "tensor/generator.ts training/autograd.ts",
    "addon/aten.generated.ts training/recompute.ts",
    "addon/kernels.ts",
    "ops",
    "tensor/float8.ts training/optim.ts",
    "nn",
    "files methods",
    "index.ts",
  ],
  "packages/ltx/src": [
    "config-fields.ts latent-grid.ts",
    "sampling/noise.ts sampling/schedule.ts",
    "family.ts",
    "lora sampling",
    "ltxv/config.ts ltxv/key-names.ts ltxv/lora-targets.ts ltxv/sizes.ts",
    "ltxv/defaults.ts ltxv/single-file.ts ltxv/t5 ltxv/transformer",
    "ltxv/vae",
    "ltxv",
    "open-base.ts",
    "index.ts",
  ],
  "packages/trainer/src": [
    "files",
    "process job-folder.ts",
    "dataset/types.ts media/media-kinds.ts source/file-failure.ts",
    "media dataset/captions/pair.ts",
    "source",
    "dataset",
    "models preflight.ts",
    "plan.ts",
    "cache portable.ts",
    "train sampling",
    "outputs.ts inspect.ts",
    "run-job.ts index.ts",
    "main.ts",
  ],
  "packages/server/src": [
    "log.ts wire",
    "config",
    "postgres",
    "db",
    "start",
    "access body",
    "storage",
    "endpoints",
    "queue",
    "webhooks",
    "jobs metrics.ts",
    "backup http",
    "service.ts",
    "main.ts",
  ],
  "models/ltx-nano/training": [
    "clips export.ts ranks",
    "text",
    "learning vocabulary",
    "studio.ts",
    "judge",
    "example",
    "eval-nano.ts export-vae.ts pretrain-transformer.ts pretrain-vae.ts sample.ts",
  ],
  scripts: ["check-structure demo fixtures lock.mjs setup test", "bench check-structure.mjs demo.mjs"],
};

/** @type {Rule[]} */
const forbidden = [
  {
    name: "no-cycle",
    comment: "Two files that need each other cannot be read, tested or moved apart.",
    severity: "error",
    from: {},
    to: { circular: true, viaOnly: { dependencyTypesNot: ["dynamic-import"] } },
  },
  {
    name: "resolves",
    comment: "An import that leads nowhere also escapes every other rule here.",
    severity: "error",
    from: {},
    to: { couldNotResolve: true },
  },
  {
    name: "package-edge",
    comment:
      "A package is used through what its package.json exports, so that everything behind it can move.",
    severity: "error",
    // The benchmark times single blocks.
    from: { path: "^packages/([^/]+)/|^(scripts|models|examples)/", pathNot: "^scripts/bench/" },
    to: { path: "^packages/", pathNot: ["^packages/$1/", exported] },
  },
  {
    name: "package-by-name",
    comment: "Another package is imported by its name: only then does package.json say so.",
    severity: "error",
    from: { path: "^packages/([^/]+)/" },
    to: { path: "^packages/", pathNot: "^packages/$1/", dependencyTypes: ["local"] },
  },
  {
    name: "package-only",
    comment: "A package works without the scripts, models and tests around it.",
    severity: "error",
    from: { path: "^packages/", pathNot: test },
    to: { path: "^(scripts|models|examples|tests)/" },
  },
  {
    name: "package-placed",
    comment: "A package without a place in the dependency rule escapes it.",
    severity: "error",
    from: { path: "^packages/", pathNot: `^packages/(${Object.keys(packages).join("|")})/` },
    to: {},
  },
  ...Object.entries(packages).map(([name, allowed]) => ({
    name: `package-${name}`,
    comment: `${name} may import ${allowed.length > 0 ? `only ${allowed.join(", ")}` : "none"} of our packages (ARCHITECTURE.md, the dependency rule).`,
    severity: /** @type {const} */ ("error"),
    from: { path: `^packages/${name}/` },
    to: { path: "^packages/", pathNot: `^packages/(${[name, ...allowed].join("|")})/` },
  })),
  {
    name: "contract-without-node",
    comment: "The contract also runs where there is no Node: in a browser, in another runtime.",
    severity: "error",
    from: { path: "^packages/contract/", pathNot: test },
    to: { dependencyTypes: ["core"] },
  },
  {
    name: "declared-dependency",
    comment:
      "A package declares what it imports at run time among its own dependencies, or an installation without the others lacks it.",
    severity: "error",
    from: { path: "^packages/[^/]+/src/", pathNot: test },
    to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown", "npm-peer"] },
  },
  {
    name: "no-test-code",
    comment: "What ships does not import what tests are made of.",
    severity: "error",
    from: { pathNot: `${test}|^(tests|models/.*/testing)/` },
    to: { path: test, pathNot: "^tests/" },
  },
  ...Object.entries(layers).flatMap(([root, rows]) => layerRules(root, rows)),
];

/**
 * @param {string} root
 * @param {string[]} rows
 * @returns {Rule[]}
 */
function layerRules(root, rows) {
  const levels = rows.map((row) => row.split(" "));
  const names = levels.flat();
  /** @param {string[]} some */
  const pathOf = (some) => `^${root}/(${some.map((name) => name.replace(".", "\\.")).join("|")})(/|$)`;
  /** @param {string[]} some @param {string[]} others */
  const within = (some, others) =>
    names.filter((name) => some.some((folder) => name.startsWith(`${folder}/`)) && !others.includes(name));
  const upwards = levels.flatMap((level, at) =>
    level.map((name) => {
      const higher = [...level.filter((other) => other !== name), ...levels.slice(at + 1).flat()];
      const [ownParts, lowerParts] = [within([name], []), within(higher, higher)];
      /** @type {Rule} */
      const rule = {
        name: `layer ${name} in ${root}`,
        comment: `${name} imports only layers below it (dependency-rules.mjs, layers).`,
        severity: "error",
        from: { path: pathOf([name]), pathNot: ownParts.length > 0 ? [test, pathOf(ownParts)] : [test] },
        to: { path: pathOf(higher), pathNot: lowerParts.length > 0 ? [test, pathOf(lowerParts)] : [test] },
      };
      return rule;
    }),
  );
  /** @type {Rule} */
  const placed = {
    name: `unplaced in ${root}`,
    comment: "The imported file has no layer yet: give it one (dependency-rules.mjs, layers).",
    severity: "error",
    from: {},
    to: { path: `^${root}/`, pathNot: [pathOf(names), test] },
  };
  return [...upwards, placed];
}

export default {
  forbidden,
  options: {
    // TypeScript 7 has no JavaScript API to parse with.
    parser: "swc",
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^packages/[^/]+/(dist|build)/" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["source", "import", "node", "default", "types"],
    },
  },
};
