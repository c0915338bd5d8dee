/** Runs child processes of the set-up: shows their progress, and keeps their output for the error if they fail. */
import { spawn, spawnSync } from "node:child_process";

/** A command that ended badly; `output` is everything it printed. */
export class CommandError extends Error {
  /**
   * @param {string} command
   * @param {string} outcome
   * @param {string} output
   */
  constructor(command, outcome, output) {
    const tail = output.trimEnd().split("\n").slice(-25).join("\n");
    super(`${command}: ${outcome}${tail ? `\n${tail}` : ""}`);
    this.output = output;
  }
}

/** A failure whose message already says what to do next; shown without a stack. */
export class SetupError extends Error {}

/**
 * What a quick command printed, or undefined when it is not there or failed.
 *
 * @param {string} command
 * @param {string[]} args
 * @returns {string | undefined}
 */
export function output(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8", timeout: 60_000 });
  return result.status === 0 ? result.stdout : undefined;
}

/**
 * Runs a command to its end.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, onLine?: (line: string) => void }} [options]
 *   onLine receives every line of stdout and stderr as it comes
 * @returns {Promise<string>} all that it printed
 * @throws {CommandError} when it cannot be started or does not exit with 0
 */
export function run(command, args, options = {}) {
  const shown = [command, ...args].join(" ");
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let all = "";
    const take = lineSplitter((line) => options.onLine?.(line));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (/** @type {string} */ text) => {
        all += text;
        take(text);
      });
    }
    child.on("error", (error) => reject(new CommandError(shown, error.message, all)));
    child.on("close", (code, signal) => {
      if (code === 0) resolve(all);
      else reject(new CommandError(shown, signal ? `ended by ${signal}` : `exit code ${code}`, all));
    });
  });
}

/**
 * Calls back once for each whole line of a text that arrives in pieces; a carriage return ends a line too.
 *
 * @param {(line: string) => void} onLine
 * @returns {(text: string) => void}
 */
export function lineSplitter(onLine) {
  let rest = "";
  return (text) => {
    const lines = (rest + text).split(/[\r\n]/);
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") onLine(line);
  };
}
