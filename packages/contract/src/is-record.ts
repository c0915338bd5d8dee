/** Telling JSON objects from other values. */

/** Whether a value is an object that is no list: what JSON writes in braces. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
