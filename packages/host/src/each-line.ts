/** The lines that a program prints, however long they are and however fast they come. */
import { StringDecoder } from "node:string_decoder";
import { setTimeout as delay } from "node:timers/promises";

export type LineLimits = {
  /** Characters of a line. The rest of a longer one is dropped. */
  readonly longest: number;
  /** Lines taken per second; a line counts once more for each 256 bytes. More stay in the pipe. Absent: no limit. */
  readonly perSecond?: number;
};

/** Between two looks at the clock. */
const paceMs = 20;
const bytesPerLine = 256;

/** Calls `take` for each line, in order, without its end. Lines end with a line feed, with or without a carriage return. */
export async function eachLine(
  stream: NodeJS.ReadableStream | null,
  limits: LineLimits,
  take: (line: string) => void,
): Promise<void> {
  if (stream === null) return;
  const pace = new Pace(limits.perSecond);
  let rest = "";
  const decoder = new StringDecoder("utf8");
  for await (const piece of stream) {
    const text = typeof piece === "string" ? piece : decoder.write(piece);
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      const line = within(rest, text.slice(start, end), limits.longest);
      rest = "";
      start = end + 1;
      take(line.endsWith("\r") ? line.slice(0, -1) : line);
      if (pace.isDue(line.length)) await pace.pause();
    }
    const length = rest.length;
    rest = within(rest, text.slice(start), limits.longest);
    // What is dropped takes time, too.
    if (pace.isDue(text.length - start - (rest.length - length))) await pace.pause();
  }
  if (rest !== "") take(rest);
}

function within(start: string, more: string, longest: number): string {
  return start + more.slice(0, Math.max(0, longest - start.length));
}

/** Lets other work of the event loop come between, and a program that prints without end wait. */
class Pace {
  readonly #most: number;
  #cost = 0;
  #sinceMs = performance.now();

  constructor(perSecond = Number.POSITIVE_INFINITY) {
    this.#most = (perSecond * paceMs) / 1000;
  }

  isDue(bytes: number): boolean {
    this.#cost += 1 + bytes / bytesPerLine;
    return this.#cost >= this.#most;
  }

  async pause(): Promise<void> {
    const leftMs = this.#sinceMs + (this.#cost / this.#most) * paceMs - performance.now();
    // Also with nothing left to wait for: the event loop has its turn.
    await delay(Math.max(1, Math.min(leftMs, 1000)));
    this.#cost = 0;
    this.#sinceMs = performance.now();
  }
}
