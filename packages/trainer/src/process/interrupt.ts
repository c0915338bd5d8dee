/**
 * Stopping on request: a job looks at its signal between two pieces of work and ends in good order.
 *
 * Whoever notices throws; what the user reads is written in one place, `interruption`, from what is on disk by then.
 */
import { AppError, interrupted } from "@ltx-trainer/contract";

/** @throws AppError `interrupted` once the job was asked to stop */
export function stopIfAsked(signal: AbortSignal): void {
  if (signal.aborted) throw interruption("", {});
}

/** What a training has put on disk so far. */
export type Written = {
  /** Steps of the newest checkpoint of this run. */
  readonly checkpointStep?: number | undefined;
  /** Whether both LoRA files and `config.json` are complete. */
  readonly isTrained?: boolean;
};

/** Failures that a stop brings about itself: it ends downloads and decoders in the middle. */
const broughtAbout = new Set([
  "interrupted",
  "media_unreadable",
  "tool_failed",
  "download_failed",
  "zip_damaged",
]);

/** Whether an error says no more than that the job was asked to stop. A full disk on the way out says more. */
export function isInterruption(error: unknown, signal: AbortSignal): boolean {
  if (error instanceof AppError)
    return error.code === "interrupted" || (signal.aborted && broughtAbout.has(error.code));
  if (!signal.aborted || !(error instanceof Error)) return false;
  return error.name === "AbortError" || isInterruption(error.cause, signal);
}

/** The end of a job that was asked to stop: what is kept, and how to go on. */
export function interruption(
  command: string,
  { checkpointStep, isTrained }: Written,
  cause?: unknown,
): AppError {
  if (isTrained) {
    return interrupted({
      cause,
      message: "interrupted while the videos were made: the LoRA is complete, with its config.json",
      remedy: "Run the same command with --resume to make the videos, or use `ltx-trainer generate --lora`.",
    });
  }
  if (checkpointStep !== undefined) {
    return interrupted({
      cause,
      message: `interrupted: a checkpoint was written after step ${checkpointStep}`,
      remedy: "Run the same command with --resume to continue.",
      facts: { step: checkpointStep },
    });
  }
  const what = command === "train" ? "interrupted before the first step: nothing was lost" : "interrupted";
  return interrupted({ cause, message: what, remedy: "Run the same command again." });
}
