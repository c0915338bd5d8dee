/** Finds and replaces the files in an endpoint's input. */
import { isRecord } from "@ltx-trainer/contract/is-record";

/** A path into an input; `*` stands for every item of a list: `["validation", "*", "image_url"]`. */
export type FilePattern = readonly string[];

/** A place in one input: `["validation", 0, "image_url"]`. */
export type FilePlace = readonly (string | number)[];

export type FileIn = { readonly place: FilePlace; readonly value: unknown };

/** Returns the values at `patterns`, in their order. Places that the input lacks are left out. */
export function filesIn(input: unknown, patterns: readonly FilePattern[]): FileIn[] {
  return patterns.flatMap((pattern) => findAt(input, pattern, []));
}

function findAt(value: unknown, [key, ...rest]: FilePattern, place: FilePlace): FileIn[] {
  if (key === undefined) return value === undefined ? [] : [{ place, value }];
  if (key === "*") {
    if (!Array.isArray(value)) return [];
    return value.flatMap((item, index) => findAt(item, rest, [...place, index]));
  }
  return isRecord(value) && Object.hasOwn(value, key) ? findAt(value[key], rest, [...place, key]) : [];
}

/** Returns the input with another value at one place. */
export function withFileAt(input: unknown, [key, ...rest]: FilePlace, file: unknown): unknown {
  if (key === undefined) return file;
  if (Array.isArray(input)) return input.with(Number(key), withFileAt(input[Number(key)], rest, file));
  const record = input as Record<string, unknown>;
  return { ...record, [key]: withFileAt(record[key], rest, file) };
}
