/** Small bodies and headers, checked where they come in. */
import { describeIssue } from "@ltx-trainer/contract";
import type { z } from "zod";
import { WireError } from "./wire-error.ts";

/** A list of thousands may be wrong in every entry. */
const mostIssues = 20;

/**
 * The value as the schema has it.
 *
 * @param where what the message starts with: `body`, or the name of a header
 * @throws WireError 400 naming everything that does not fit
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
