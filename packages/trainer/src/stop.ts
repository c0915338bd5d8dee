/**
 * Stopping on request: a job looks at its signal between two pieces of work and ends in good order.
 */
import { AppError } from "@ltx-trainer/contract";

/** @throws AppError `interrupted` once the job was asked to stop */
export function stopIfAsked(signal: AbortSignal): void {
  if (signal.aborted) throw interrupted("nothing was lost");
}

export function interrupted(what: string): AppError {
  return new AppError({
    code: "interrupted",
    message: `interrupted: ${what}`,
    remedy: "Run the same command with --resume to go on.",
    retryable: true,
  });
}
