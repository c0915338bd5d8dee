/** Values of a client's that go into answers and into the database: bounded in size, and without credentials. */
import { withoutCredentials } from "../secrets.ts";

export type ShortenLimits = {
  /** Of a string, in characters. */
  readonly stringLength: number;
  /** Of the whole value, in characters of strings and keys, and one per member. */
  readonly total: number;
};

/** For what an answer repeats. */
const answerLimits: ShortenLimits = { stringLength: 500, total: 4_000 };
/** Levels of nesting that are kept. */
const deepest = 6;
/** Members of an array or object that are kept. */
const mostMembers = 50;

/**
 * The value with long strings cut, deep and long parts left out, and credentials in addresses replaced. A small value
 * without credentials comes back equal. The work is bounded too, however large the value is.
 */
export function shorten(value: unknown, limits: ShortenLimits = answerLimits): unknown {
  return shortenWithin(value, { ...limits, left: limits.total }, 0);
}

type Budget = ShortenLimits & { left: number };

function shortenWithin(value: unknown, budget: Budget, depth: number): unknown {
  if (typeof value === "string") return shortenText(value, budget);
  budget.left--;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return shortenArray(value, budget, depth);
  return shortenObject(value as Readonly<Record<string, unknown>>, budget, depth);
}

function shortenText(text: string, budget: Budget): string {
  const limit = Math.max(0, Math.min(budget.stringLength, budget.left));
  const isCut = text.length > limit;
  // The cut may fall between a password and the @ that gives it away.
  const start = isCut ? text.slice(0, limit).replace(/:\/\/[^\s"\\/?#]*$/, "://") : text;
  const kept = withoutCredentials(start);
  budget.left -= kept.length;
  return isCut ? `${kept}... (${text.length} characters)` : kept;
}

function shortenArray(items: readonly unknown[], budget: Budget, depth: number): unknown {
  if (depth >= deepest && items.length > 0) return `... (${items.length} items)`;
  const kept: unknown[] = [];
  for (const item of items) {
    if (kept.length >= mostMembers || budget.left <= 0) return [...kept, `... (${items.length} items)`];
    kept.push(shortenWithin(item, budget, depth + 1));
  }
  return kept;
}

function shortenObject(
  object: Readonly<Record<string, unknown>>,
  budget: Budget,
  depth: number,
): Record<string, unknown> | string {
  const kept: [string, unknown][] = [];
  for (const key in object) {
    if (depth >= deepest) return "... (an object)";
    if (kept.length >= mostMembers || budget.left <= 0) {
      kept.push(["...", "(more keys)"]);
      break;
    }
    kept.push([shortenText(key, budget), shortenWithin(object[key], budget, depth + 1)]);
  }
  // Not by assignment: a key may be called __proto__.
  return Object.fromEntries(kept);
}
