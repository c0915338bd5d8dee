/**
 * Whether the trainer can be asked to work on a body. Submitting never fails on it: what is found here is the result.
 */

import { shorten, TrainingInput, unknownKeys } from "@ltx-trainer/contract";
import type { InlineFile } from "../body/read-json.ts";
import { pydanticDetail } from "../wire/pydantic.ts";
import {
  type ErrorDetail,
  modelFailure,
  trainingFailure,
  type WireFailure,
} from "../wire/request-failures.ts";

/** Keys that are dropped, which is worth a line in the log, or why nothing can be done. */
export type Verdict =
  | { readonly refusal: WireFailure }
  | { readonly refusal: undefined; readonly ignoredKeys: readonly string[] };

/**
 * @param path what came after the endpoint's name: the trainer has nothing there
 * @param body the parsed JSON, or undefined for an empty body
 * @param files what came inside it
 */
export function validateInput(path: string, body: unknown, files: readonly InlineFile[] = []): Verdict {
  if (path !== "") return { refusal: pathNotFound(path) };
  if (body === undefined) {
    return { refusal: refused([{ loc: ["body"], msg: "Field required", type: "missing", input: null }]) };
  }
  const result = TrainingInput.safeParse(withShortLists(body), { reportInput: true });
  if (!result.success) return { refusal: refused(pydanticDetail(TrainingInput, result.error.issues, body)) };
  const { training_data_url: data, validation } = result.data;
  const sources: [ErrorDetail["loc"], string][] = [
    [["body", "training_data_url"], data],
    ...validation.flatMap(({ image_url: image }, index): [ErrorDetail["loc"], string][] =>
      image ? [[["body", "validation", index, "image_url"], image]] : [],
    ),
  ];
  // On a server a path would be one of ours.
  const wrong = sources.filter(([, source]) => !isFetchable(source));
  if (wrong.length > 0) return { refusal: refused(wrong.map(([loc, source]) => notAnAddress(loc, source))) };
  const damaged = files.find(({ bytes }) => bytes === undefined);
  if (damaged !== undefined) {
    const facts = { field: String(damaged.place[0]) };
    return { refusal: trainingFailure({ code: "source_unsupported", facts }, result.data) };
  }
  return { refusal: undefined, ignoredKeys: unknownKeys(TrainingInput, body) };
}

/** More prompts than this are refused for their number; what each looks like does not matter any more. */
const mostPrompts = 10;

/** Every entry of a list is checked before its length is. */
function withShortLists(body: unknown): unknown {
  const { validation } = (body ?? {}) as { readonly validation?: unknown };
  if (!Array.isArray(validation) || validation.length <= mostPrompts) return body;
  return { ...(body as object), validation: validation.slice(0, mostPrompts) };
}

/** Looking at an address takes longer the longer it is. */
const longestAddress = 16_384;

function isFetchable(source: string): boolean {
  if (/^data:/i.test(source)) return true;
  return source.length <= longestAddress && /^https?:\/\//i.test(source) && URL.canParse(source);
}

function notAnAddress(loc: ErrorDetail["loc"], source: string): ErrorDetail {
  return {
    loc,
    msg: "Value error, value must be a valid URL: expected http://, https:// or data:",
    type: "value_error",
    ctx: { error: {} },
    input: shorten(source),
  };
}

/** Without a doubt the caller's: not worth trying again, and free of charge. */
function refused(detail: readonly ErrorDetail[]): WireFailure {
  return modelFailure(422, detail);
}

/** Source: fal-ai/fal, `projects/fal/src/fal/api.py`: how an application answers for a path it does not have. */
function pathNotFound(path: string): WireFailure {
  return { ...modelFailure(404, []), body: { detail: `Path /${shorten(path)} not found` } };
}
