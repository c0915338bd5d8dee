/**
 * Limits the log of a request. A dataset of 20,000 broken files has a line per file: the first and the last lines are kept,
 * and one line replaces the middle.
 */
import type { LogLine } from "../../wire/queue.ts";

export type LogLimits = {
  readonly first: number;
  readonly last: number;
  /** Lines that may follow before the middle is cut again. */
  readonly slack: number;
};

export const logLimits: LogLimits = { first: 500, last: 1500, slack: 500 };

/** Characters of messages that a response holds from the start and from the end of a log. */
const mostCharacters = { first: 100_000, last: 300_000 } as const;

/** Number of lines that this line replaces. Not on the wire. */
export const leftOut = Symbol("lines left out");

export type KeptLine = LogLine & { readonly [leftOut]?: number };

export function leftOutMessage(count: number): string {
  return `${count} lines left out: of a long log the start and the end are kept`;
}

/** Replaces the middle when the lines are too many or too long. */
export function foldLines(lines: readonly KeptLine[], limits: LogLimits = logLimits): readonly KeptLine[] {
  const { first, last, slack } = limits;
  const characters = lines.reduce((sum, { message }) => sum + message.length, 0);
  const isShort = characters <= mostCharacters.first + mostCharacters.last;
  if (lines.length <= first + last + slack && isShort) return lines;
  const head = countWithin(lines.slice(0, first), mostCharacters.first);
  const tail = countWithin(lines.slice(head).slice(-last).toReversed(), mostCharacters.last);
  const middle = lines.slice(head, lines.length - tail);
  const [start] = middle;
  if (start === undefined) return lines;
  const count = middle.reduce((sum, line) => sum + (line[leftOut] ?? 1), 0);
  const mark: KeptLine = { ...start, level: "WARN", message: leftOutMessage(count), [leftOut]: count };
  return [...lines.slice(0, head), mark, ...lines.slice(lines.length - tail)];
}

function countWithin(lines: readonly LogLine[], most: number): number {
  let characters = 0;
  const end = lines.findIndex(({ message }) => {
    characters += message.length;
    return characters > most;
  });
  return end === -1 ? lines.length : end;
}
