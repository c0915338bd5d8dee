/**
 * One source file as the structure check sees it: its length, its functions, its imports, its exports.
 *
 * TypeScript and JavaScript are parsed (oxc); C++ and Python files are only counted.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSync } from "oxc-parser";

/**
 * @typedef {{ request: string, line: number, dynamic: boolean }} Import
 * @typedef {{ name: string, line: number, lines: number }} FunctionSpan
 * @typedef {object} SourceFile
 * @property {string} path relative to the root, with forward slashes
 * @property {number} lines
 * @property {boolean} opensWithComment a shebang may stand before it
 * @property {FunctionSpan[]} functions
 * @property {Import[]} imports re-exports, `import("...")` and `require.resolve("...")` included
 * @property {number[]} defaultExports their lines
 * @property {boolean} onlyReexports nothing in it but `export ... from`
 * @property {Import[]} readsWorld where it reads the environment or a clock
 * @typedef {{ type: string, start: number, end: number } & Record<string, any>} Node
 */

const functionTypes = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);
const importTypes = new Set([
  "ImportDeclaration",
  "ExportAllDeclaration",
  "ExportNamedDeclaration",
  "ImportExpression",
  "TSImportType",
]);
const worldReaders = new Set(["process.env", "Date.now", "performance.now"]);

/**
 * @param {string} root
 * @param {string} path
 * @returns {SourceFile}
 * @throws {Error} when the file does not parse
 */
export function readSourceFile(root, path) {
  const text = readFileSync(join(root, path), "utf8");
  /** @type {SourceFile} */
  const file = {
    path,
    lines: text.split("\n").length - (text.endsWith("\n") ? 1 : 0),
    opensWithComment: /^(#!.*\n)?\s*(\/\*|\/\/|#|""")/.test(text),
    functions: [],
    imports: [],
    defaultExports: [],
    onlyReexports: false,
    readsWorld: [],
  };
  if (/\.(ts|tsx|js|mjs)$/.test(path)) addSyntax(file, text);
  return file;
}

/**
 * @param {SourceFile} file
 * @param {string} text
 */
function addSyntax(file, text) {
  const { program, errors } = parseSync(file.path, text);
  if (errors.length > 0) throw new Error(`${file.path}: does not parse: ${errors[0]?.message}`);
  const lineOf = lineFinder(text);
  const body = /** @type {Node[]} */ (/** @type {unknown} */ (program.body));
  file.onlyReexports = body.length > 0 && body.every((node) => node.type.startsWith("Export") && node.source);
  for (const { node, parent } of walk(body)) {
    if (functionTypes.has(node.type) && !isSuite(parent)) {
      const line = lineOf(node.start);
      file.functions.push({ name: functionName(node, parent), line, lines: lineOf(node.end - 1) - line + 1 });
    }
    const request = importTypes.has(node.type) ? node.source?.value : resolvedRequest(node);
    if (typeof request === "string") {
      file.imports.push({ request, line: lineOf(node.start), dynamic: node.type === "ImportExpression" });
    }
    if (isDefaultExport(node)) file.defaultExports.push(lineOf(node.start));
    const member = node.type === "MemberExpression" ? `${node.object?.name}.${node.property?.name}` : "";
    if (worldReaders.has(member)) {
      file.readsWorld.push({ request: member, line: lineOf(node.start), dynamic: false });
    }
  }
}

/**
 * Every node of a tree with its parent, in reading order.
 *
 * @param {Node[]} roots
 * @returns {Generator<{ node: Node, parent: Node | undefined }>}
 */
function* walk(roots) {
  /** @type {{ node: Node, parent: Node | undefined }[]} */
  const waiting = roots.map((node) => ({ node, parent: undefined })).reverse();
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    yield next;
    const { node } = next;
    const children = Object.values(node)
      .flat()
      .filter((value) => value !== null && typeof value === "object" && typeof value.type === "string");
    for (const child of children.reverse()) waiting.push({ node: child, parent: node });
  }
}

/**
 * The package in `require.resolve("package")`: one that is used by its path.
 *
 * @param {Node} node
 * @returns {unknown}
 */
function resolvedRequest(node) {
  if (node.type !== "CallExpression" || node.callee?.type !== "MemberExpression") return undefined;
  const { object, property } = node.callee;
  return object?.name === "require" && property?.name === "resolve" ? node.arguments?.[0]?.value : undefined;
}

/** The callback of `describe(...)` only groups tests; each test in it is measured.
 * @param {Node | undefined} parent
 */
function isSuite(parent) {
  if (parent?.type !== "CallExpression") return false;
  let callee = parent.callee;
  while (callee?.object || callee?.callee) callee = callee.object ?? callee.callee;
  return callee?.name === "describe";
}

/**
 * @param {Node} node
 * @param {Node | undefined} parent
 * @returns {string}
 */
function functionName(node, parent) {
  const own = node.id?.name;
  const owner = parent?.key?.name ?? parent?.id?.name;
  const tested = parent?.type === "CallExpression" ? parent.arguments?.[0]?.value : undefined;
  return own ?? owner ?? (typeof tested === "string" ? `"${tested}"` : "a callback");
}

/** @param {Node} node */
function isDefaultExport(node) {
  if (node.type === "ExportDefaultDeclaration") return true;
  if (node.type !== "ExportSpecifier") return false;
  return node.exported?.name === "default";
}

/**
 * @param {string} text
 * @returns {(offset: number) => number} the line, from 1, of a place in the text
 */
function lineFinder(text) {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}
