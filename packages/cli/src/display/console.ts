/**
 * Where words go. Progress and messages go to stderr; the result goes to stdout, and with `--json` it is one line of JSON
 * and the last line there.
 */

export type Console = {
  /** A line for people. */
  say(line: string): void;
  /** Shows a line that the next call replaces, on a terminal; elsewhere nothing. */
  live(line: string): void;
  /** Whether `live` shows anything. */
  readonly isLive: boolean;
  /** The result of the command: text for people, or the object. Called once. */
  result(text: string, value: Readonly<Record<string, unknown>>): void;
};

type Streams = { readonly stdout: NodeJS.WriteStream; readonly stderr: NodeJS.WriteStream };

export function makeConsole(json: boolean, { stdout, stderr }: Streams = process): Console {
  const isLive = stderr.isTTY === true && process.env.TERM !== "dumb";
  let isShowing = false;
  const clear = () => {
    if (isShowing) stderr.write("\r\u001b[2K");
    isShowing = false;
  };
  return {
    isLive,
    say(line) {
      clear();
      stderr.write(`${line}\n`);
    },
    live(line) {
      if (!isLive) return;
      clear();
      // A line that wraps could not be taken back.
      stderr.write(line.slice(0, Math.max(20, (stderr.columns ?? 80) - 1)));
      isShowing = true;
    },
    result(text, value) {
      clear();
      stdout.write(json ? `${JSON.stringify(value)}\n` : `${text}\n`);
    },
  };
}
