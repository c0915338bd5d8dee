import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { maxTestLines } from "./lines.mjs";
import { checkTree, maxFileLines, maxFolderFiles, maxMedianLines } from "./rules.mjs";

/** @type {string[]} */
const made = [];
afterEach(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true });
});

/**
 * Writes a small repository and returns what the check says of it, one `path:line: message` each.
 *
 * @param {Record<string, string>} files
 */
function verdict(files) {
  const root = mkdtempSync(join(tmpdir(), "structure-"));
  made.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return checkTree(root).violations.map(({ path, line, message }) => `${path}:${line}: ${message}`);
}

const lines = (/** @type {number} */ count) => "// a line\n".repeat(count);
/** Keeps the median down beside a file that is long on purpose. */
const short = { "scripts/x.mjs": "// x\n", "scripts/y.mjs": "// y\n" };

describe("sizes", () => {
  test("a file may have 400 lines and no more", () => {
    expect(verdict({ ...short, "packages/torch/src/a.ts": lines(maxFileLines) })).toEqual([]);
    expect(verdict({ ...short, "packages/torch/src/a.ts": lines(maxFileLines + 1) })).toEqual([
      "packages/torch/src/a.ts:1: got 401 lines, expected at most 400",
    ]);
  });

  test("C++ and Python files are counted too", () => {
    const long = verdict({
      ...short,
      "packages/torch/native/a.cc": lines(401),
      "scripts/a.py": "# a\n".repeat(401),
      "scripts/z.py": "# z\n",
    });
    expect(long.map((line) => line.split(":")[0])).toEqual(["packages/torch/native/a.cc", "scripts/a.py"]);
  });

  test("generated files and build outputs are left alone", () => {
    const long = lines(500);
    expect(
      verdict({ "packages/torch/src/ops.generated.ts": long, "packages/torch/dist/a.js": long }),
    ).toEqual([]);
  });

  test("half of the files are short, tests not counted", () => {
    const long = lines(maxMedianLines);
    const files = { "scripts/a.mjs": long, "scripts/b.mjs": lines(1), "scripts/c.mjs": long };
    const message = ".:1: got a median of 120 lines per file, expected under 120";
    expect(verdict(files)).toEqual([message]);
    expect(verdict({ ...files, "scripts/c.mjs": lines(1), "scripts/d.test.mjs": long })).toEqual([]);
  });

  test("a folder may hold 14 sources, tests counted, and no more", () => {
    const folder = (/** @type {string} */ path, /** @type {number} */ count) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`${path}/f${n}.test.ts`, "// f\n"]));
    expect(verdict(folder("packages/torch/src", maxFolderFiles))).toEqual([]);
    expect(verdict(folder("packages/torch/src", maxFolderFiles + 1))).toEqual([
      "packages/torch/src:1: got 15 source files in one folder, expected at most 14",
    ]);
    expect(verdict(folder("packages/server/src/db/migrations", 20))).toEqual([]);
  });

  test.each([
    ["a test", 'test("long", () => {'],
    ["a test with a fixture", '  test.each([1])("long", async (n) => {'],
    ["a hook", "beforeAll(async () => {"],
    ["a helper", "async function start() {"],
  ])("%s in a test file may hold 60 lines and no more", (_kind, open) => {
    const indent = /^ */.exec(open)?.[0] ?? "";
    const body = (/** @type {number} */ count) =>
      `${open}\n${`${indent}  call();\n`.repeat(count)}${indent}}\n`;
    expect(verdict({ "scripts/a.test.mjs": body(maxTestLines) })).toEqual([]);
    expect(verdict({ "scripts/a.test.mjs": `\n${body(maxTestLines + 1)}` })).toEqual([
      "scripts/a.test.mjs:2: got 61 lines between the braces, expected at most 60",
    ]);
  });

  test("a block that groups tests may be long", () => {
    const tests = '  test("short", () => {\n  });\n'.repeat(50);
    expect(verdict({ "scripts/a.test.mjs": `describe.skipIf(true)("all", () => {\n${tests}});\n` })).toEqual(
      [],
    );
  });
});

describe("files", () => {
  test("every file says what it is for, tests excepted", () => {
    const bare = "export const a = 1;\n";
    expect(
      verdict({
        "scripts/a.mjs": bare,
        "scripts/a.test.mjs": bare,
        "scripts/b.mjs": `#!/usr/bin/env node\n// b\n${bare}`,
      }),
    ).toEqual(["scripts/a.mjs:1: opens without a comment that says what the file is for"]);
  });

  test("one index file per package, at its edge", () => {
    const text = '// edge\nexport { a } from "./a.ts";\n';
    expect(verdict({ "packages/torch/src/index.ts": text, "packages/torch/src/ops/index.ts": text })).toEqual(
      ["packages/torch/src/ops/index.ts:1: index file inside a package; only src/index.ts may be one"],
    );
  });
});

describe("lines", () => {
  /** @param {string[]} texts */
  const said = (...texts) => verdict({ "packages/ltx/src/a.ts": ["// why", ...texts, ""].join("\n") });

  test("members are private by #name; a constructor may be private", () => {
    expect(said("class A {", "  private a = 1;", "  private constructor() {}", "}")).toEqual([
      "packages/ltx/src/a.ts:3: accessibility keyword; use #name for private members",
    ]);
  });

  test.each([
    "function f(NAME: { a: number }) {}",
    "function f(a: number, NAME: Options) {}",
    "const f = (NAME?: Options) => 1;",
    "    NAME: Options,",
  ])("options are called options: %s", (text) => {
    for (const name of ["o", "opts"]) expect(said(text.replace("NAME", name))).toHaveLength(1);
    expect(said(text.replace("NAME", "options"))).toEqual([]);
  });

  test("types are imported at the top, where dependency-cruiser sees them", () => {
    const message = "type imported in place, which dependency-cruiser cannot see; use `import type`";
    expect(said('type A = import("./b.ts").A;', 'const b = await import("./b.ts");')).toEqual([
      `packages/ltx/src/a.ts:2: ${message}`,
    ]);
  });

  test("the model reads neither the environment nor a clock, and draws no chance of its own", () => {
    const texts = [
      "const a = process.env.HOME;",
      "const b = Date.now();",
      "const c = Math.random();",
      "// Date.now",
    ];
    const message =
      "reads the environment, a clock or chance; ltx must give the same answer to the same input";
    expect(said(...texts)).toEqual([2, 3, 4].map((line) => `packages/ltx/src/a.ts:${line}: ${message}`));
    const elsewhere = ["// why", ...texts, ""].join("\n");
    expect(
      verdict({ "packages/trainer/src/a.ts": elsewhere, "packages/ltx/src/a.test.ts": elsewhere }),
    ).toEqual([]);
  });
});
