/** Validates a body against its endpoint's schema. A submission never fails for it: the failure becomes the request's result. */
import { shorten } from "@ltx-trainer/contract";
import { z } from "zod";
import type { InlineFile } from "../body/read-json.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import { failureOf } from "../endpoints/failures.ts";
import { filesIn } from "../wire/files-in.ts";
import { pydanticDetail } from "../wire/pydantic.ts";
import { type ErrorDetail, modelFailure, type WireFailure } from "../wire/request-failures.ts";

/** A body and the path that it was sent to. */
export type SentInput = {
  /** The path after the endpoint's name. Only an empty one is valid. */
  readonly path: string;
  /** The parsed JSON; undefined for an empty body. */
  readonly body: unknown;
  /** Data URIs of the body. */
  readonly files: readonly InlineFile[];
};

/** The failure of an invalid input; undefined for a valid one. */
export function validateInput(endpoint: Endpoint, { path, body, files }: SentInput): WireFailure | undefined {
  if (path !== "") return pathNotFound(path);
  if (body === undefined) {
    return inputFailure([{ loc: ["body"], msg: "Field required", type: "missing", input: null }]);
  }
  const { input } = endpoint;
  const result = input.safeParse(withShortLists(body, input), { reportInput: true });
  if (!result.success) return inputFailure(pydanticDetail(input, result.error.issues, body));
  const sources = filesIn(result.data, endpoint.files).flatMap(({ place, value }) =>
    typeof value === "string" && value !== "" ? [{ loc: ["body", ...place], source: value }] : [],
  );
  // A local path would name a file of the server.
  const wrong = sources.filter(({ source }) => !isFetchable(source));
  if (wrong.length > 0) return inputFailure(wrong.map(({ loc, source }) => addressError(loc, source)));
  const damaged = files.find(({ bytes }) => bytes === undefined);
  if (damaged === undefined) return undefined;
  const facts = { field: String(damaged.place[0]) };
  return failureOf(
    endpoint.failures,
    { code: "source_unsupported", facts },
    result.data as Readonly<Record<string, unknown>>,
  );
}

/** Entries of a list that are validated beyond its maximum length. */
const spareEntries = 8;

/** Shortens lists that are far too long. They are refused for their length, without validation of every entry. */
function withShortLists(body: unknown, input: z.ZodType): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  const longest = longestLists(input);
  const entries = Object.entries(body);
  const isTooLong = ([key, value]: [string, unknown]) =>
    Array.isArray(value) && value.length > (longest.get(key) ?? Number.POSITIVE_INFINITY);
  if (!entries.some(isTooLong)) return body;
  return Object.fromEntries(
    entries.map(([key, value]) =>
      isTooLong([key, value]) ? [key, (value as unknown[]).slice(0, longest.get(key))] : [key, value],
    ),
  );
}

const listsOf = new WeakMap<z.ZodType, ReadonlyMap<string, number>>();

/** How many entries of each top-level list are validated. */
function longestLists(input: z.ZodType): ReadonlyMap<string, number> {
  const known = listsOf.get(input);
  if (known !== undefined) return known;
  const { properties = {} } = z.toJSONSchema(input, { io: "input" });
  const lists = new Map(
    Object.entries(properties).flatMap(([name, property]): [string, number][] =>
      typeof property === "object" && property.maxItems !== undefined
        ? [[name, property.maxItems + spareEntries]]
        : [],
    ),
  );
  listsOf.set(input, lists);
  return lists;
}

/** In characters. Limits the time of parsing an address. */
const longestAddress = 16_384;

function isFetchable(source: string): boolean {
  if (/^data:/i.test(source)) return true;
  return source.length <= longestAddress && /^https?:\/\//i.test(source) && URL.canParse(source);
}

function addressError(loc: ErrorDetail["loc"], source: string): ErrorDetail {
  return {
    loc,
    msg: "Value error, value must be a valid URL: expected http://, https:// or data:",
    type: "value_error",
    ctx: { error: {} },
    input: shorten(source),
  };
}

/** A failure that the caller caused: not retryable, and free of charge. */
function inputFailure(detail: readonly ErrorDetail[]): WireFailure {
  return modelFailure(422, detail);
}

/** Source: fal-ai/fal, `projects/fal/src/fal/api.py`: the answer of an application for a path that it does not have. */
function pathNotFound(path: string): WireFailure {
  return { ...modelFailure(404, []), body: { detail: `Path /${shorten(path)} not found` } };
}
