/** Which failures concern one file of the dataset, so that the others go on without it. */
import { AppError } from "@ltx-trainer/contract";

const codes = new Set(["media_unreadable", "zip_damaged", "tool_failed"]);

/** Why the file cannot be used, without its name; undefined when the failure is more than that. */
export function fileFailure(error: unknown): string | undefined {
  if (!(error instanceof AppError) || !codes.has(error.code)) return undefined;
  return typeof error.facts.reason === "string" ? error.facts.reason : error.message;
}
