/** What a failed training means: whose failure it is, and whether the request is tried again. */
import type { AppError } from "@ltx-trainer/contract";
import { type FailureTable, isCausedByRequest } from "../../endpoints/failures.ts";

/**
 * `fail`: the request's own data or size. `lost`: the trainer was killed, which the request may have caused; it goes on from
 * its last checkpoint, once. `setback`: the server's side; the request waits and is tried again.
 */
export type Verdict = "fail" | "lost" | "setback";

export function verdictOf(
  error: AppError,
  { failures, hasStepped }: { readonly failures: FailureTable; readonly hasStepped: boolean },
): Verdict {
  if (isCausedByRequest(failures, error.code)) return "fail";
  // Before the first step only a kill, for lack of memory, is suspicious of the data.
  if (error.code === "trainer_died" && (hasStepped || error.facts.signal === "SIGKILL")) return "lost";
  return "setback";
}

/** How often a request may be set back without a checkpoint in between. */
export const setbacksAllowed = 6;
const longestPauseSeconds = 600;

/** Doubles with every setback. */
export function pauseAfter(setbacks: number, firstSeconds: number): number {
  return Math.min(firstSeconds * 2 ** setbacks, longestPauseSeconds);
}
