/**
 * The structure rules that no tool checks for us: sizes of files, folders and tests, opening comments, and a few
 * patterns that a line of text shows.
 *
 * The rest is in biome.jsonc (functions, default exports, barrels, names), dependency-rules.mjs (who imports whom) and
 * knip.ts (what is unused).
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { forbiddenLines, longTests } from "./lines.mjs";

/**
 * @typedef {{ path: string, line: number, message: string }} Violation
 * @typedef {{ path: string, text: string, lines: string[] }} SourceFile path relative to the root, with forward slashes
 */

export const maxFileLines = 400;
export const maxFolderFiles = 14;
export const maxMedianLines = 120;

const sourceName = /\.(ts|js|mjs|cc|h|py)$/;
const generatedName = /\.generated\.|\.d\.ts$/;
const leftOut = new Set(["node_modules", "dist", "build", "coverage", "out"]);
/** Migrations: one file per step of the database's history, so their number only grows. */
const mayHoldMore = /\/migrations$/;

/**
 * Checks a whole repository.
 *
 * @param {string} root
 * @returns {{ files: number, median: number, violations: Violation[] }} violations by path and line
 */
export function checkTree(root) {
  const files = listSources(root).map((path) => readSource(root, path));
  const median = medianOf(files.filter(({ path }) => !isTest(path)).map(({ lines }) => lines.length));
  const violations = [...files.flatMap(checkFile), ...checkFolders(files)];
  if (median >= maxMedianLines) {
    const message = `got a median of ${median} lines per file, expected under ${maxMedianLines}`;
    violations.push({ path: ".", line: 1, message });
  }
  violations.sort((a, b) => a.path.localeCompare(b.path) || a.line - b.line);
  return { files: files.length, median, violations };
}

/**
 * @param {SourceFile} file
 * @returns {Violation[]}
 */
function checkFile(file) {
  const { path, lines, text } = file;
  /** @type {Violation[]} */
  const found = [];
  if (lines.length > maxFileLines) {
    found.push({ path, line: 1, message: `got ${lines.length} lines, expected at most ${maxFileLines}` });
  }
  if (!/^(#!.*\n)?\s*(\/\*|\/\/|#|""")/.test(text) && !isTest(path)) {
    found.push({ path, line: 1, message: "opens without a comment that says what the file is for" });
  }
  if (/\/index\.(ts|mjs)$/.test(path) && !/^packages\/[^/]+\/src\/index\.ts$/.test(path)) {
    found.push({ path, line: 1, message: "index file inside a package; only src/index.ts may be one" });
  }
  return [...found, ...forbiddenLines(file), ...(isTest(path) ? longTests(file) : [])];
}

/**
 * @param {SourceFile[]} files
 * @returns {Violation[]} folders with too many source files
 */
function checkFolders(files) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { path } of files) {
    const folder = posix.dirname(path);
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return [...counts]
    .filter(([folder, count]) => count > maxFolderFiles && !mayHoldMore.test(folder))
    .map(([path, count]) => ({
      path,
      line: 1,
      message: `got ${count} source files in one folder, expected at most ${maxFolderFiles}`,
    }));
}

/**
 * The hand-written sources of a repository.
 *
 * @param {string} root
 * @param {string} [folder]
 * @returns {string[]} relative paths with forward slashes
 */
function listSources(root, folder = "") {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => !entry.name.startsWith(".") && !leftOut.has(entry.name))
    .sort((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) return listSources(root, path);
      return sourceName.test(entry.name) && !generatedName.test(entry.name) ? [path] : [];
    });
}

/**
 * @param {string} root
 * @param {string} path
 * @returns {SourceFile}
 */
function readSource(root, path) {
  const text = readFileSync(join(root, path), "utf8");
  return { path, text, lines: text.replace(/\n$/, "").split("\n") };
}

/** @param {string} path */
function isTest(path) {
  return /\.test\.(ts|mjs)$/.test(path);
}

/** @param {number[]} counts */
function medianOf(counts) {
  return counts.sort((a, b) => a - b)[counts.length >> 1] ?? 0;
}
