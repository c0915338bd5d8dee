/**
 * Prints the log of a request: every line once; on a terminal, steps are one line with a progress bar.
 */

const cells = 24;

/**
 * `[#####---]  50/200  loss 0.3, ...` for a line about a step, else undefined.
 *
 * @param {string} message
 */
export function stepBar(message) {
  const step = /^Step (\d+)\/(\d+), (.*)$/.exec(message);
  if (step === null) return undefined;
  const [, done = "", total = "", rest = ""] = step;
  const full = Math.round((cells * Number(done)) / Number(total));
  return `[${"#".repeat(full)}${"-".repeat(cells - full)}] ${done}/${total}  ${rest}`;
}

export class LogView {
  #shown = 0;
  #isOnBar = false;
  /** @type {{ isTTY?: boolean, write(text: string): unknown }} */
  #out;

  /** @param {{ isTTY?: boolean, write(text: string): unknown }} out */
  constructor(out) {
    this.#out = out;
  }

  /** @param {readonly { message: string }[]} logs all lines so far, as polling gives them */
  show(logs) {
    for (const { message } of logs.slice(this.#shown)) this.#say(message);
    this.#shown = logs.length;
  }

  /** @param {string} message */
  #say(message) {
    const bar = this.#out.isTTY ? stepBar(message) : undefined;
    if (bar !== undefined) this.#out.write(`\r\u001b[K${bar}`);
    else this.#out.write(`${this.#isOnBar ? "\n" : ""}${message}\n`);
    this.#isOnBar = bar !== undefined;
  }

  /** Leaves the line of the bar, if it is there. */
  end() {
    if (this.#isOnBar) this.#out.write("\n");
    this.#isOnBar = false;
  }
}
