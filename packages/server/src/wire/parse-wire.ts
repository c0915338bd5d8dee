/** Validates small bodies and headers. */
import { describeIssue } from "@ltx-trainer/contract";
import type { z } from "zod";
import { WireError } from "./wire-error.ts";

/** Problems per message: a list of thousands may be wrong in every entry. */
const mostIssues = 20;

/**
 * Returns the parsed value.
 *
 * @param where prefix of the message: `body`, or the name of a header
 * @throws WireError 400 naming every problem
 */
export function parseWire<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  where = "body",
): z.output<Schema> {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  const said = parsed.error.issues
    .slice(0, mostIssues)
    .map((issue) => describeIssue(issue).message.replace(/^options: /, ""));
  throw WireError.badRequest(`${where}: ${said.join("; ")}`);
}
