/** Output of the set-up: one line per step with its duration, and a progress line during long steps. */

const interactive = process.stdout.isTTY === true;
const titleWidth = 16;
const quietMs = 10_000;

/**
 * @typedef {(text: string, fraction?: number) => void} Progress
 *   says how far a step is; fraction is 0 to 1 where it is known
 */

/**
 * Runs one step and prints its outcome.
 *
 * @template T
 * @param {string} title
 * @param {(progress: Progress) => Promise<{ text: string, value: T }> | { text: string, value: T }} work
 * @returns {Promise<T>} the step's value
 */
export async function step(title, work) {
  const started = performance.now();
  const label = title.padEnd(titleWidth);
  const { text, value } = await work(progressLine(label));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  clearLine();
  console.log(`${label} ${text} (${seconds} s)`);
  return value;
}

/**
 * A line that is drawn over on a terminal, and written anew every ten seconds elsewhere.
 *
 * @param {string} label
 * @returns {Progress}
 */
function progressLine(label) {
  let spoken = performance.now();
  return (text, fraction) => {
    const shown = fraction === undefined ? text : `${bar(fraction)} ${text}`;
    if (interactive) {
      clearLine();
      process.stdout.write(`${label} ${shown}`.slice(0, (process.stdout.columns ?? 80) - 1));
    } else if (performance.now() - spoken > quietMs) {
      spoken = performance.now();
      console.log(`${label} ${shown}`);
    }
  };
}

/**
 * `[######..............]  30 %`
 *
 * @param {number} fraction 0 to 1
 */
export function bar(fraction) {
  const part = Math.min(1, Math.max(0, fraction));
  const filled = Math.round(part * 20);
  return `[${"#".repeat(filled)}${".".repeat(20 - filled)}] ${String(Math.round(part * 100)).padStart(3)} %`;
}

function clearLine() {
  if (interactive) process.stdout.write("\r\x1b[K");
}
