/**
 * The end of `npm test`: every skipped test with its reason, then one line of counts as the last line.
 */
import { writeSync } from "node:fs";

/**
 * @typedef {{ file: string, name: string, reason: string }} Skipped
 * @typedef {{ passed: number, failed: number, skipped: Skipped[] }} Counts
 * @typedef {Pick<import("vitest/node").TestModule, "errors" | "moduleId"> &
 *   { children: { allTests(): Iterable<Pick<import("vitest/node").TestCase, "fullName" | "result">> } }} Module
 */

/**
 * Counts a finished run. A file that could not be loaded and an error outside every test are failures too.
 *
 * @param {readonly Module[]} modules
 * @param {number} strayErrors
 * @param {string} root paths are shown relative to it
 * @returns {Counts}
 */
export function countTests(modules, strayErrors, root) {
  /** @type {Counts} */
  const counts = { passed: 0, failed: strayErrors, skipped: [] };
  for (const module of modules) {
    counts.failed += module.errors().length;
    for (const test of module.children.allTests()) {
      const result = test.result();
      if (result.state === "passed") counts.passed++;
      else if (result.state === "failed") counts.failed++;
      else {
        const reason = ("note" in result && result.note) || "its name says why";
        counts.skipped.push({ file: module.moduleId.replace(`${root}/`, ""), name: test.fullName, reason });
      }
    }
  }
  return counts;
}

/** @param {Counts} counts */
export function formatSummary({ passed, failed, skipped }) {
  const lines = skipped.map(({ file, name, reason }) => `  ${file} > ${name} (${reason})`);
  const heading = lines.length > 0 ? [`SKIPPED, and so not proven by this run: ${lines.length}`] : [];
  return [...heading, ...lines, `${passed} passed, ${failed} failed, ${skipped.length} skipped`].join("\n");
}

/** A vitest reporter; it stands beside the default one, which shows the failures. */
export class SummaryReporter {
  /** @type {string} */
  #root = process.cwd();

  /** @param {{ config: { root: string } }} vitest */
  onInit(vitest) {
    this.#root = vitest.config.root;
  }

  /**
   * @param {readonly Module[]} modules
   * @param {readonly unknown[]} strayErrors
   */
  onTestRunEnd(modules, strayErrors) {
    const summary = formatSummary(countTests(modules, strayErrors.length, this.#root));
    // At exit, because the line of counts must come after whatever else is still to be printed.
    process.once("exit", () => writeSync(1, `\n${summary}\n`));
  }
}
