/**
 * The rules a machine can hold the tree to, so that a reviewer need not: sizes, cycles, barrels, default
 * exports, opening comments, and the dependency rule.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { findCycles } from "./cycles.mjs";
import { checkImports, checkManifest, readPackages } from "./packages.mjs";
import { readSourceFile } from "./source-file.mjs";

/**
 * @typedef {{ path: string, line: number, message: string }} Violation
 * @typedef {import("./source-file.mjs").SourceFile} SourceFile
 */

export const maxFileLines = 400;
export const maxFunctionLines = 60;

const sourceName = /\.(ts|tsx|js|mjs|cc|h|py)$/;
const generatedName = /\.generated\.|\.d\.ts$/;
const leftOut = new Set(["node_modules", "dist", "build", "coverage", "out"]);
/** vitest asks its configuration for a default export. */
const mayExportDefault = new Set(["vitest.config.ts", "tests/long/vitest.config.ts"]);

/**
 * Checks a whole repository.
 *
 * @param {string} root
 * @returns {{ files: number, violations: Violation[] }} violations by path and line
 */
export function checkTree(root) {
  const files = listSources(root).map((path) => readSourceFile(root, path));
  const packages = readPackages(root);
  const shared = rootDependencies(root);
  const violations = [
    ...files.flatMap(checkFile),
    ...findCycles(files).map((cycle) => ({
      path: cycle[0] ?? "",
      line: 1,
      message: `import cycle: ${cycle.join(" -> ")}`,
    })),
    ...packages.flatMap((owner) => {
      const own = files.filter((file) => file.path.startsWith(`${owner.folder}/`));
      return [
        ...checkManifest(owner, own),
        ...own
          .filter(({ path }) => !path.includes("/bin/"))
          .flatMap((file) => checkImports(file, owner, shared)),
      ];
    }),
  ];
  violations.sort((a, b) => a.path.localeCompare(b.path) || a.line - b.line);
  return { files: files.length, violations };
}

/**
 * @param {SourceFile} file
 * @returns {Violation[]}
 */
function checkFile(file) {
  const { path } = file;
  /** @type {Violation[]} */
  const found = [];
  if (file.lines > maxFileLines) {
    found.push({ path, line: 1, message: `got ${file.lines} lines, expected at most ${maxFileLines}` });
  }
  for (const { name, line, lines } of file.functions) {
    if (lines <= maxFunctionLines) continue;
    found.push({ path, line, message: `${name}: got ${lines} lines, expected at most ${maxFunctionLines}` });
  }
  if (!file.opensWithComment && !path.includes(".test.")) {
    found.push({ path, line: 1, message: "opens without a comment that says what the file is for" });
  }
  if (!mayExportDefault.has(path)) {
    for (const line of file.defaultExports)
      found.push({ path, line, message: "default export; give it a name" });
  }
  const isEdge = /^packages\/[^/]+\/src\/index\.ts$/.test(path);
  if (!isEdge && (file.onlyReexports || /\/index\.tsx?$/.test(path))) {
    found.push({ path, line: 1, message: "a barrel inside a package; only src/index.ts may be one" });
  }
  return found;
}

/**
 * The hand-written sources of a repository.
 *
 * @param {string} root
 * @param {string} [folder]
 * @returns {string[]} relative paths with forward slashes
 */
export function listSources(root, folder = "") {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => !entry.name.startsWith(".") && !leftOut.has(entry.name))
    .sort((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) return listSources(root, path);
      return sourceName.test(entry.name) && !generatedName.test(entry.name) ? [path] : [];
    });
}

/** @param {string} root */
function rootDependencies(root) {
  const file = join(root, "package.json");
  if (!existsSync(file)) return new Set(["vitest"]);
  return new Set(Object.keys(JSON.parse(readFileSync(file, "utf8")).devDependencies ?? {}));
}
