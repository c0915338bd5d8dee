/** Classifies a failed job: who caused it, and whether the request is retried. */
import type { AppError } from "@ltx-trainer/contract";
import { type FailureTable, isCausedByRequest } from "../../endpoints/failures.ts";

/**
 * `fail`: the request's data or size is the cause. `lost`: the trainer was killed, possibly because of the request, which is
 * retried once from its last checkpoint. `setback`: the server is the cause, and the request is retried after a pause.
 */
export type Verdict = "fail" | "lost" | "setback";

export function verdictOf(
  error: AppError,
  { failures, hasStepped }: { readonly failures: FailureTable; readonly hasStepped: boolean },
): Verdict {
  if (isCausedByRequest(failures, error.code)) return "fail";
  // Before the first step, data is a likely cause only of a kill for lack of memory.
  if (error.code === "trainer_died" && (hasStepped || error.facts.signal === "SIGKILL")) return "lost";
  return "setback";
}

/** Setbacks per request without a checkpoint in between. */
export const setbacksAllowed = 6;
const longestPauseSeconds = 600;

/** Pause before the retry, in seconds. Doubles per setback. */
export function pauseAfter(setbacks: number, firstSeconds: number): number {
  return Math.min(firstSeconds * 2 ** setbacks, longestPauseSeconds);
}
