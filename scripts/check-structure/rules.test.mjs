import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { checkTree, maxFileLines, maxFunctionLines } from "./rules.mjs";

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
  const all = { ...manifests, ...files };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return checkTree(root).violations.map(({ path, line, message }) => `${path}:${line}: ${message}`);
}

/** @param {string[]} names */
const manifest = (...names) =>
  JSON.stringify({ dependencies: Object.fromEntries(names.map((name) => [name, "1.0.0"])) });
const manifests = {
  "package.json": JSON.stringify({ devDependencies: { vitest: "1.0.0" } }),
  "packages/contract/package.json": manifest(),
  "packages/torch/package.json": manifest(),
  "packages/ltx/package.json": manifest(),
  "packages/trainer/package.json": manifest(),
  "packages/cli/package.json": manifest(),
  "packages/server/package.json": manifest(),
};
const lines = (/** @type {number} */ count) => "// a line\n".repeat(count);

describe("sizes", () => {
  test("a file may have 400 lines and no more", () => {
    expect(verdict({ "packages/torch/src/a.ts": lines(maxFileLines) })).toEqual([]);
    expect(verdict({ "packages/torch/src/a.ts": lines(maxFileLines + 1) })).toEqual([
      "packages/torch/src/a.ts:1: got 401 lines, expected at most 400",
    ]);
  });

  test("C++ and Python files are counted too", () => {
    const long = verdict({ "packages/torch/native/a.cc": lines(401), "scripts/a.py": "# a\n".repeat(401) });
    expect(long.map((line) => line.split(":")[0])).toEqual(["packages/torch/native/a.cc", "scripts/a.py"]);
  });

  test.each([
    ["a declaration", "function long() {", "}", "long"],
    ["an arrow function", "const long = () => {", "};", "long"],
    ["a method", "class A { long() {", "} }", "long"],
    ["a test", 'test("long", () => {', "});", '"long"'],
  ])("%s may span 60 lines and no more", (_kind, open, close, name) => {
    const body = (/** @type {number} */ count) => `// why\n${open}\n${lines(count)}${close}\n`;
    expect(verdict({ "packages/torch/src/a.ts": body(maxFunctionLines - 2) })).toEqual([]);
    expect(verdict({ "packages/torch/src/a.ts": body(maxFunctionLines - 1) })).toEqual([
      `packages/torch/src/a.ts:2: ${name}: got 61 lines, expected at most 60`,
    ]);
  });

  test("describe only groups tests and may be long", () => {
    expect(
      verdict({ "packages/torch/src/a.test.ts": `describe("all", () => {\n${lines(100)}});\n` }),
    ).toEqual([]);
    expect(
      verdict({ "packages/torch/src/a.test.ts": `describe.skipIf(true)("all", () => {\n${lines(100)}});\n` }),
    ).toEqual([]);
  });

  test("generated files and build outputs are left alone", () => {
    const long = lines(500);
    expect(
      verdict({ "packages/torch/src/ops.generated.ts": long, "packages/torch/dist/a.js": long }),
    ).toEqual([]);
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

  test("no default exports, whichever way they are written", () => {
    const files = {
      "scripts/a.mjs": "// a\nexport default 1;\n",
      "scripts/b.mjs": "// b\nconst b = 1;\nexport { b as default };\n",
    };
    expect(verdict(files)).toEqual([
      "scripts/a.mjs:2: default export; give it a name",
      "scripts/b.mjs:3: default export; give it a name",
    ]);
  });

  test("one barrel a package, at its edge", () => {
    const barrel = '// edge\nexport { a } from "./a.ts";\n';
    expect(verdict({ "packages/torch/src/index.ts": barrel })).toEqual([]);
    const message = "a barrel inside a package; only src/index.ts may be one";
    expect(
      verdict({ "packages/torch/src/ops/index.ts": barrel, "packages/torch/src/all.ts": barrel }),
    ).toEqual([`packages/torch/src/all.ts:1: ${message}`, `packages/torch/src/ops/index.ts:1: ${message}`]);
  });
});

describe("cycles", () => {
  test("a cycle is shown as a closed walk", () => {
    const files = {
      "packages/torch/src/a.ts": '// a\nimport { b } from "./b.ts";\nexport const a = b;\n',
      "packages/torch/src/b.ts": '// b\nexport * from "./deep/c.ts";\nexport const b = 1;\n',
      "packages/torch/src/deep/c.ts": '// c\nimport type { a } from "../a.ts";\nexport type C = typeof a;\n',
    };
    const walk = ["a.ts", "b.ts", "deep/c.ts", "a.ts"]
      .map((name) => `packages/torch/src/${name}`)
      .join(" -> ");
    expect(verdict(files)).toEqual([`packages/torch/src/a.ts:1: import cycle: ${walk}`]);
  });

  test("a diamond is not a cycle, and a dynamic import breaks one", () => {
    const files = {
      "packages/torch/src/a.ts": '// a\nimport "./b.ts";\nimport "./c.ts";\n',
      "packages/torch/src/b.ts": '// b\nimport "./d.ts";\n',
      "packages/torch/src/c.ts": '// c\nimport "./d.ts";\n',
      "packages/torch/src/d.ts": '// d\nexport const later = () => import("./a.ts");\n',
    };
    expect(verdict(files)).toEqual([]);
  });
});

describe("the dependency rule", () => {
  const file = (/** @type {string} */ request) => `// why\nimport "${request}";\n`;

  test("the allowed directions pass", () => {
    const files = {
      "packages/contract/package.json": manifest("zod"),
      "packages/ltx/package.json": manifest("@ltx-trainer/torch"),
      "packages/trainer/package.json": manifest("@ltx-trainer/ltx", "@ltx-trainer/contract"),
      "packages/cli/package.json": manifest("@ltx-trainer/contract", "commander"),
      "packages/contract/src/a.ts": file("zod"),
      "packages/torch/src/a.ts": file("node:fs"),
      "packages/ltx/src/a.ts": file("@ltx-trainer/torch"),
      "packages/trainer/src/a.ts": `${file("@ltx-trainer/ltx")}import "@ltx-trainer/contract";\n`,
      "packages/cli/src/a.ts": `${file("@ltx-trainer/contract")}import "commander";\n`,
      "packages/cli/src/a.test.ts": 'import "vitest";\n',
    };
    expect(verdict(files)).toEqual([]);
  });

  test.each([
    [
      "packages/cli/src/a.ts",
      "@ltx-trainer/trainer",
      "imports @ltx-trainer/trainer; cli may use only contract, host of ours",
    ],
    [
      "packages/cli/src/a.test.ts",
      "@ltx-trainer/torch",
      "imports @ltx-trainer/torch; cli may use only contract, host of ours",
    ],
    [
      "packages/torch/src/a.ts",
      "@ltx-trainer/ltx",
      "imports @ltx-trainer/ltx; torch may use none of our packages",
    ],
    [
      "packages/ltx/src/a.ts",
      "@ltx-trainer/torch/src/tensor.ts",
      "imports @ltx-trainer/torch/src/tensor.ts; use what @ltx-trainer/torch exports",
    ],
    [
      "packages/ltx/src/a.ts",
      "../../torch/src/tensor.ts",
      "imports ../../torch/src/tensor.ts, which lies outside packages/ltx",
    ],
    [
      "packages/server/src/a.ts",
      "@ltx-trainer/trainer",
      "imports @ltx-trainer/trainer; server may use only contract, host of ours",
    ],
    ["packages/contract/src/a.ts", "node:fs", "imports node:fs; contract must run without Node"],
    [
      "packages/trainer/src/a.ts",
      "left-pad/deep",
      "imports left-pad, which is not in the dependencies of packages/trainer/package.json",
    ],
    [
      "packages/trainer/src/a.ts",
      "vitest",
      "imports vitest, which is not in the dependencies of packages/trainer/package.json",
    ],
  ])("%s may not import %s", (path, request, message) => {
    expect(verdict({ [path]: file(request) })).toEqual([`${path}:2: ${message}`]);
  });

  test("types and dynamic imports are imports too", () => {
    const text =
      '// why\nexport type T = import("@ltx-trainer/ltx").T;\nexport const load = () => import("@ltx-trainer/trainer");\n';
    expect(verdict({ "packages/torch/src/a.ts": text })).toHaveLength(2);
  });

  test("a dependency that no source imports is refused", () => {
    const files = {
      "packages/trainer/package.json": manifest("sharp", "undici"),
      "packages/trainer/src/a.ts": file("sharp"),
    };
    expect(verdict(files)).toEqual([
      "packages/trainer/package.json:1: depends on undici, which no source imports",
    ]);
  });

  test("a package that is used by its path counts as imported", () => {
    const files = {
      "packages/trainer/package.json": manifest("sharp"),
      "packages/trainer/src/a.ts": '// why\nexport const place = () => require.resolve("sharp");\n',
    };
    expect(verdict(files)).toEqual([]);
  });

  test("package.json is held to the same rule", () => {
    expect(verdict({ "packages/cli/package.json": manifest("@ltx-trainer/trainer") })).toEqual([
      "packages/cli/package.json:1: depends on @ltx-trainer/trainer; cli may use only contract, host of ours",
    ]);
  });

  test("an export that is not there is named", () => {
    const exported = JSON.stringify({
      exports: { ".": { source: "./src/index.ts", default: "./dist/index.js" } },
    });
    const path = "packages/trainer/package.json";
    expect(verdict({ [path]: exported })).toEqual([
      `${path}:1: exports ./src/index.ts, which does not exist`,
    ]);
    expect(
      verdict({ [path]: exported, "packages/trainer/src/index.ts": "/** why */\nexport {};\n" }),
    ).toEqual([]);
  });

  test("a package nobody gave a place is refused", () => {
    expect(verdict({ "packages/extra/package.json": manifest() })[0]).toMatch(
      /extra has no place in the dependency rule/,
    );
  });

  test("the model reads neither the environment nor a clock", () => {
    const text = "// why\nexport const a = process.env.HOME;\nexport const b = () => Date.now();\n";
    expect(verdict({ "packages/ltx/src/a.ts": text })).toEqual([
      "packages/ltx/src/a.ts:2: reads process.env; ltx must give the same answer to the same input",
      "packages/ltx/src/a.ts:3: reads Date.now; ltx must give the same answer to the same input",
    ]);
    expect(verdict({ "packages/trainer/src/a.ts": text })).toEqual([]);
  });
});

test("a file that does not parse is named", () => {
  expect(() => verdict({ "scripts/a.mjs": "// a\nconst = 1;\n" })).toThrow(/scripts\/a\.mjs: does not parse/);
});
