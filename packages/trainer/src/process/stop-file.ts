/**
 * Detects a stop while tensor work blocks the event loop, when no signal handler can run: the parent process also creates
 * a file beside the job, and work that may be dropped halfway checks for it between two layers.
 */
import { existsSync } from "node:fs";
import { interruptible } from "@ltx-trainer/torch";
import { interruption, stopIfAsked } from "./interrupt.ts";

/** How often the file is looked for. */
const lookEveryMs = 100;

/** The file of this process's job: `job.json.stop` beside `job.json`. */
function stopFile(): string | undefined {
  const job = process.argv[3];
  return job === undefined ? undefined : `${job}.stop`;
}

/**
 * Runs synchronous tensor work; gives it up between two layers once the job was asked to stop.
 *
 * @throws AppError `interrupted`
 */
export function stoppable<T>(signal: AbortSignal, work: () => T): T {
  const path = stopFile();
  let lookedAt = Number.NEGATIVE_INFINITY;
  return interruptible(() => {
    const now = performance.now();
    if (now - lookedAt < lookEveryMs) return;
    lookedAt = now;
    stopIfAsked(signal);
    if (path !== undefined && existsSync(path)) throw interruption("", {});
  }, work);
}
