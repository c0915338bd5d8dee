/**
 * Formats schema issues like pydantic, which clients of the hosted API parse.
 *
 * Source: pydantic 2, `pydantic_core.core_schema.ErrorType` and its messages; which types have their own page:
 * fal.ai/docs/documentation/model-apis/errors.
 */

import { shorten, typeAt } from "@ltx-trainer/contract";
import type { z } from "zod";
import { type ErrorDetail, errorPage } from "./request-failures.ts";

type Issue = z.core.$ZodIssue;
type Words = {
  readonly type: string;
  readonly msg: string;
  readonly ctx?: Record<string, unknown>;
  readonly hasPage?: boolean;
};

/** Entries per response: a body can be wrong in a million places. */
const mostEntries = 100;

/**
 * Returns the problems of a body, one entry per value, at most 100.
 *
 * @param input the value that `schema` refused with `issues`. Each entry repeats its part
 */
export function pydanticDetail(schema: z.ZodType, issues: readonly Issue[], input: unknown): ErrorDetail[] {
  // Report one issue per value, as pydantic does.
  const first = new Map<string, Issue>();
  for (const issue of issues) {
    if (first.size >= mostEntries) break;
    const place = JSON.stringify(issue.path);
    if (!first.has(place)) first.set(place, issue);
  }
  return [...first.values()].map((issue) => {
    const { found, value, parent } = valueAt(input, issue.path);
    // A rule over several fields has its own message, also for a missing field.
    const { type, msg, ctx, hasPage }: Words =
      found || issue.code === "custom"
        ? wordsOf(issue, value, typeAt(schema, issue.path))
        : { type: "missing", msg: "Field required" };
    return {
      loc: ["body", ...issue.path.map((part) => (typeof part === "number" ? part : String(part)))],
      msg,
      type,
      ...(hasPage ? { url: errorPage(type) } : {}),
      ...(ctx === undefined ? {} : { ctx }),
      input: shorten(found ? value : parent) ?? null,
    };
  });
}

/** Returns the entry for a body that is not JSON. */
export function jsonInvalidDetail(reason: string): ErrorDetail {
  return {
    loc: ["body", 0],
    msg: "JSON decode error",
    type: "json_invalid",
    ctx: { error: reason },
    input: {},
  };
}

function wordsOf(issue: Issue, value: unknown, type: string | undefined): Words {
  switch (issue.code) {
    case "invalid_type":
      // zod reports `number` first and `int` after it.
      return typeWords(type === "integer" ? "int" : issue.expected, value);
    case "too_small":
      return limitWords(issue.origin, value, { low: issue.minimum, inclusive: issue.inclusive !== false });
    case "too_big":
      return limitWords(issue.origin, value, { high: issue.maximum, inclusive: issue.inclusive !== false });
    case "invalid_value": {
      const expected = alternatives(issue.values);
      return { type: "literal_error", msg: `Input should be ${expected}`, ctx: { expected } };
    }
    default:
      return { type: "value_error", msg: `Value error, ${issue.message}`, ctx: { error: {} } };
  }
}

const typeNames: Readonly<Record<string, readonly [type: string, msg: string]>> = {
  string: ["string_type", "Input should be a valid string"],
  number: ["float_type", "Input should be a valid number"],
  int: ["int_type", "Input should be a valid integer"],
  boolean: ["bool_type", "Input should be a valid boolean"],
  array: ["list_type", "Input should be a valid list"],
  object: ["model_attributes_type", "Input should be a valid dictionary or object to extract fields from"],
};

const parsing: Readonly<Record<string, readonly [type: string, msg: string]>> = {
  int: ["int_parsing", "Input should be a valid integer, unable to parse string as an integer"],
  number: ["float_parsing", "Input should be a valid number, unable to parse string as a number"],
  boolean: ["bool_parsing", "Input should be a valid boolean, unable to interpret input"],
};

function typeWords(expected: string, value: unknown): Words {
  if (expected === "int" && typeof value === "number") {
    return {
      type: "int_from_float",
      msg: "Input should be a valid integer, got a number with a fractional part",
    };
  }
  const [type, msg] = (typeof value === "string" ? parsing[expected] : undefined) ??
    typeNames[expected] ?? ["value_error", `Input should be a valid ${expected}`];
  return { type, msg };
}

type Limit = {
  readonly low?: number | bigint;
  readonly high?: number | bigint;
  readonly inclusive: boolean;
};

function limitWords(origin: string, value: unknown, { low, high, inclusive }: Limit): Words {
  const limit = Number(low ?? high);
  const isLow = low !== undefined;
  if (origin === "string") {
    return {
      type: isLow ? "string_too_short" : "string_too_long",
      msg: `String should have at ${isLow ? "least" : "most"} ${limit} character${limit === 1 ? "" : "s"}`,
      ctx: isLow ? { min_length: limit } : { max_length: limit },
    };
  }
  if (origin === "array") {
    const actual_length = Array.isArray(value) ? value.length : 0;
    return {
      type: isLow ? "too_short" : "too_long",
      msg: `List should have at ${isLow ? "least" : "most"} ${limit} item${limit === 1 ? "" : "s"} after validation, not ${actual_length}`,
      ctx: { field_type: "List", ...(isLow ? { min_length: limit } : { max_length: limit }), actual_length },
    };
  }
  const direction = isLow ? "greater" : "less";
  return {
    type: `${direction}_than${inclusive ? "_equal" : ""}`,
    msg: `Input should be ${direction} than ${inclusive ? "or equal to " : ""}${limit}`,
    ctx: { [`${isLow ? "g" : "l"}${inclusive ? "e" : "t"}`]: limit },
    hasPage: true,
  };
}

/** `'low', 'medium' or 'high'`. */
function alternatives(values: readonly unknown[]): string {
  const quoted = values.map((value) => (typeof value === "string" ? `'${value}'` : String(value)));
  return quoted.length < 2 ? quoted.join("") : `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}

/** Returns the value at a path. `found` is false when its last key is missing. `parent` is the object it should be in. */
function valueAt(root: unknown, path: readonly PropertyKey[]) {
  let value: unknown = root;
  let parent: unknown = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) {
      return { found: false, value: undefined, parent: value };
    }
    parent = value;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return { found: true, value, parent };
}
