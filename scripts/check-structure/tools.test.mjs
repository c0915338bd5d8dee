/** The rules that tools hold for us, each broken once: their configuration is as easily wrong as code. */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cruise } from "dependency-cruiser";
import { afterEach, describe, expect, test } from "vitest";
import rules, { layers } from "../../dependency-rules.mjs";

const repository = fileURLToPath(new URL("../..", import.meta.url));
/** @type {string[]} */
const made = [];
afterEach(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true });
});

/**
 * A small repository in a temporary folder.
 *
 * @param {Record<string, string>} files
 */
function makeTree(files) {
  const root = mkdtempSync(join(tmpdir(), "tools-"));
  made.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

describe("biome", () => {
  /**
   * @param {string} text
   * @param {string} [path]
   * @returns {string[]} the names of the broken rules
   */
  function brokenRules(text, path = "packages/torch/src/a.ts") {
    const root = makeTree({ [path]: text });
    cpSync(join(repository, "biome.jsonc"), join(root, "biome.jsonc"));
    const biome = join(repository, "node_modules/.bin/biome");
    const args = ["lint", "--reporter=json", "--vcs-enabled=false", "--max-diagnostics=none"];
    const { stdout, stderr } = spawnSync(biome, args, { cwd: root, encoding: "utf8" });
    if (!stdout.startsWith("{")) throw new Error(`biome: ${stderr}`);
    const { diagnostics } = JSON.parse(stdout);
    return diagnostics.map((/** @type {{ category: string }} */ { category }) => category.split("/").at(-1));
  }

  test("a function may hold 60 lines of code and no more, outside of tests", () => {
    const body = (/** @type {number} */ count) =>
      `export function f(): void {\n${"  g();\n".repeat(count)}}\n`;
    expect(brokenRules(body(60))).toEqual([]);
    expect(brokenRules(body(61))).toEqual(["noExcessiveLinesPerFunction"]);
    expect(brokenRules(body(61), "packages/torch/src/a.test.ts")).toEqual([]);
  });

  test("no default export, but where a tool asks for one", () => {
    expect(brokenRules("export default 1;\n")).toEqual(["noDefaultExport"]);
    expect(brokenRules("const a = 1;\nexport { a as default };\n")).toEqual(["noDefaultExport"]);
    expect(brokenRules("export default 1;\n", "tests/long/vitest.config.ts")).toEqual([]);
  });

  test("one barrel per package, at its edge", () => {
    const barrel = 'export { a } from "./b.ts";\n';
    expect(brokenRules(barrel)).toEqual(["noBarrelFile"]);
    expect(brokenRules(barrel, "packages/torch/src/index.ts")).toEqual([]);
  });

  test("constants are camelCase, with axes or a wire name behind it, and schemas PascalCase", () => {
    /** @param {string[]} names */
    const values = (...names) => names.map((name) => `export const ${name} = 1;\n`).join("");
    const good = values("maxSteps", "TrainingInput", "q_BTNK", "request_id", "add_", "T");
    const bad = values("MAX_STEPS", "MAX", "Max_Steps");
    expect(brokenRules(good)).toEqual([]);
    expect(brokenRules(bad)).toEqual(Array(3).fill("useNamingConvention"));
  });
});

describe("dependency-cruiser", () => {
  const packages = {
    "packages/torch/package.json": JSON.stringify({ name: "@ltx-trainer/torch", exports: "./src/index.ts" }),
    "packages/torch/src/index.ts": "export const t = 1;\n",
    "packages/cli/package.json": JSON.stringify({ name: "@ltx-trainer/cli", dependencies: {} }),
    "packages/cli/src/program.ts": "export const p = 1;\n",
    "packages/contract/package.json": JSON.stringify({ name: "@ltx-trainer/contract" }),
    "packages/contract/src/index.ts": "export const c = 1;\n",
  };

  /**
   * @param {Record<string, string>} files
   * @returns {Promise<string[]>} the broken rules, each with the import that breaks it
   */
  async function brokenRules(files) {
    const root = makeTree({ ...packages, ...files });
    mkdirSync(join(root, "node_modules/@ltx-trainer"), { recursive: true });
    for (const name of ["torch", "cli", "contract"]) {
      symlinkSync(`../../packages/${name}`, join(root, "node_modules/@ltx-trainer", name));
    }
    const { forbidden, options } = rules;
    const { enhancedResolveOptions, ...rest } = options;
    const { output } = await cruise(
      ["packages"],
      { ...rest, parser: "swc", ruleSet: { forbidden }, validate: true, baseDir: root },
      enhancedResolveOptions,
    );
    if (typeof output === "string") throw new Error(output);
    return output.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`).sort();
  }

  test.each(Object.entries(layers))("every layer of %s exists", (root, rows) => {
    const names = rows.flatMap((row) => row.split(" "));
    expect(names.filter((name) => !existsSync(join(repository, root, name)))).toEqual([]);
  });

  test("the tree that the other tests break is in order", async () => {
    expect(await brokenRules({ "packages/cli/src/main.ts": 'import "./program.ts";\n' })).toEqual([]);
  });

  test("a cycle, closed by a type import", async () => {
    const found = await brokenRules({
      "packages/cli/src/display/a.ts": 'import "./b.ts";\nexport type A = 1;\n',
      "packages/cli/src/display/b.ts": 'import type { A } from "./a.ts";\nexport type B = A;\n',
    });
    expect(new Set(found.map((line) => line.split(":")[0]))).toEqual(new Set(["no-cycle"]));
  });

  test("a dynamic import breaks a cycle", async () => {
    const files = {
      "packages/cli/src/display/a.ts": 'import "./b.ts";\n',
      "packages/cli/src/display/b.ts": 'export const later = () => import("./a.ts");\n',
    };
    expect(await brokenRules(files)).toEqual([]);
  });

  test.each([
    ["package-cli", "main.ts", "@ltx-trainer/torch"],
    ["package-by-name", "main.ts", "../../contract/src/index.ts"],
    ["resolves", "main.ts", "@ltx-trainer/contract/src/errors.ts"],
    ["resolves", "main.ts", "left-pad"],
    ["no-test-code", "main.ts", "./testing/fake.ts"],
    ["package-only", "main.ts", "../../../scripts/lock.mjs"],
    ["layer commands in packages/cli/src", "commands/train.ts", "../program.ts"],
    ["unplaced in packages/cli/src", "program.ts", "./unplaced.ts"],
  ])("%s: %s may not import %s", async (rule, file, request) => {
    const found = await brokenRules({
      "scripts/lock.mjs": "// lock\n",
      "packages/cli/src/testing/fake.ts": "// fake\n",
      "packages/cli/src/unplaced.ts": "// unplaced\n",
      [`packages/cli/src/${file}`]: `import type {} from "${request}";\n`,
    });
    expect(found.map((line) => line.split(": ")[0])).toEqual([rule]);
  });

  test("contract-without-node", async () => {
    const found = await brokenRules({ "packages/contract/src/errors.ts": 'import "node:fs";\n' });
    expect(found).toEqual(["contract-without-node: packages/contract/src/errors.ts -> fs"]);
  });

  test("declared-dependency: a package of the root alone", async () => {
    const found = await brokenRules({
      "node_modules/left-pad/package.json": JSON.stringify({ name: "left-pad", main: "index.js" }),
      "node_modules/left-pad/index.js": "",
      "packages/cli/src/main.ts": 'import "left-pad";\n',
    });
    expect(found).toEqual([
      "declared-dependency: packages/cli/src/main.ts -> node_modules/left-pad/index.js",
    ]);
  });

  test("package-placed: a package that the dependency rule does not name", async () => {
    const found = await brokenRules({
      "packages/extra/src/a.ts": 'import "./b.ts";\n',
      "packages/extra/src/b.ts": "",
    });
    expect(found).toEqual(["package-placed: packages/extra/src/a.ts -> packages/extra/src/b.ts"]);
  });
});

describe("knip", () => {
  /**
   * @param {string[]} args
   * @returns {string[]} issues as `type: name`
   */
  function unused(...args) {
    const root = makeTree({
      "package.json": JSON.stringify({
        name: "root",
        type: "module",
        workspaces: ["packages/*"],
        devDependencies: { vitest: "1.0.0" },
      }),
      "vitest.config.ts": 'export default { test: { include: ["packages/*/src/**/*.test.ts"] } };\n',
      "packages/trainer/package.json": JSON.stringify({
        name: "@ltx-trainer/trainer",
        dependencies: { "left-pad": "1.0.0" },
      }),
      "packages/trainer/src/main.ts": 'import { used } from "./parts.ts";\nused();\n',
      "packages/trainer/src/parts.ts":
        "export const used = () => 1;\nexport const tested = () => 2;\nexport const dead = () => 3;\n",
      "packages/trainer/src/parts.test.ts":
        'import { test } from "vitest";\nimport { tested } from "./parts.ts";\ntest("a", () => void tested());\n',
      "packages/trainer/src/alone.ts": "export const alone = 1;\n",
    });
    cpSync(join(repository, "knip.ts"), join(root, "knip.ts"));
    const knip = fileURLToPath(new URL("../bin/knip.js", import.meta.resolve("knip")));
    const { stdout, stderr } = spawnSync(process.execPath, [knip, "--reporter=json", ...args], {
      cwd: root,
      encoding: "utf8",
    });
    if (!stdout.startsWith("{")) throw new Error(`knip: ${stderr}`);
    /** @type {{ issues: Record<string, { name: string }[] | string>[] }} */
    const { issues } = JSON.parse(stdout);
    return issues
      .flatMap((file) =>
        ["files", "exports", "dependencies"].flatMap((type) =>
          (Array.isArray(file[type]) ? file[type] : []).map(({ name }) => `${type}: ${name}`),
        ),
      )
      .sort();
  }

  test("a file, an export and a dependency that nothing uses", () => {
    expect(unused()).toEqual([
      "dependencies: left-pad",
      "exports: dead",
      "files: packages/trainer/src/alone.ts",
    ]);
  });

  test("--production: also what only tests use", () => {
    expect(unused("--production")).toContain("exports: tested");
  });
});
