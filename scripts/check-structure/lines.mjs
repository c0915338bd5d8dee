/**
 * Rules that a line of text shows, without a parser: keywords and names that we do not use, and the length of tests.
 *
 * Lines that are comments are skipped. The formatter's layout is relied on: a block ends at the first line with the
 * indentation of the line that opened it.
 */

/**
 * @typedef {import("./rules.mjs").SourceFile} SourceFile
 * @typedef {import("./rules.mjs").Violation} Violation
 * @typedef {{ where: RegExp, except?: RegExp, line: RegExp, message: string }} LineRule
 */

export const maxTestLines = 60;

/** @type {LineRule[]} */
const lineRules = [
  {
    where: /\.ts$/,
    line: /^\s*(private|protected|public) (?!constructor\b)/,
    message: "accessibility keyword; use #name for private members",
  },
  {
    where: /\.(ts|mjs)$/,
    line: /(?:[(,] *|^\s*)(?:o|opts)\??: [\w{]|\((?:o|opts)\) =>|function [\w$]*\((?:o|opts)\)/,
    message: "parameter o or opts; call it options",
  },
  {
    where: /\.ts$/,
    line: /(?:typeof\s+|[:<|&]\s*|^\s*(?:export )?type .*)import\("(?:\.|@ltx-trainer)/,
    message: "type imported in place, which dependency-cruiser cannot see; use `import type`",
  },
  {
    // The same input gives the same answer.
    where: /^packages\/ltx\//,
    except: /\.test\.ts$|\/testing\//,
    line: /process\.env|Date\.now|performance\.now|new Date\(\)|Math\.random/,
    message: "reads the environment, a clock or chance; ltx must give the same answer to the same input",
  },
];

/**
 * @param {SourceFile} file
 * @returns {Violation[]}
 */
export function forbiddenLines({ path, lines }) {
  const rules = lineRules.filter(({ where, except }) => where.test(path) && !except?.test(path));
  if (rules.length === 0) return [];
  return lines.flatMap((text, at) => {
    if (/^\s*(\*|\/\/|\/\*)/.test(text)) return [];
    return rules
      .filter(({ line }) => line.test(text))
      .map(({ message }) => ({ path, line: at + 1, message }));
  });
}

/**
 * Tests and hooks with too long a body. biome measures functions elsewhere; in tests it would measure `describe`, too,
 * which only groups.
 *
 * @param {SourceFile} file
 * @returns {Violation[]}
 */
export function longTests({ path, lines }) {
  return lines.flatMap((text, at) => {
    if (!/(=>|\)) \{$/.test(text)) return [];
    const indent = /^\s*/.exec(text)?.[0] ?? "";
    const end = lines.findIndex((line, n) => n > at && line.startsWith(`${indent}}`));
    const body = lines.slice(at + 1, end);
    if (body.length <= maxTestLines || body.some((line) => /^\s*(test|describe)\b/.test(line))) return [];
    const message = `got ${body.length} lines between the braces, expected at most ${maxTestLines}`;
    return [{ path, line: at + 1, message }];
  });
}
