/** Which failures concern one file of the dataset, so that the others go on without it. */
import { AppError } from "@ltx-trainer/contract";

const codes = new Set(["media_unreadable", "zip_damaged", "tool_failed"]);

/** Why the file cannot be used, without its name; undefined when the failure is more than that. */
export function fileFailure(error: unknown): string | undefined {
  if (!(error instanceof AppError) || !codes.has(error.code)) return undefined;
  return typeof error.facts.reason === "string" ? error.facts.reason : error.message;
}

/** Of a file that was there when the dataset was read. Not its fault: a training on what is left would be another one. */
export function removedMeanwhile(name: string): AppError {
  return new AppError({
    code: "file_unreadable",
    message: `${name}: it was removed while the training was reading the dataset`,
    remedy: "Keep the data and the output folder in place, and run the same command again.",
    facts: { file: name },
  });
}
