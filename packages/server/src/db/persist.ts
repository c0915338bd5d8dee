/**
 * Waiting out a database that is away for a moment: one that restarts, or fails over.
 *
 * Only for statements that may run twice. Ours may: each names the state it leaves, or the row it inserts.
 */
import { setTimeout as delay } from "node:timers/promises";

const firstPauseMs = 25;
const longestPauseMs = 500;
/** Longer than a restart takes, shorter than clients wait. */
const patienceMs = 20_000;

/** Conditions that pass by themselves. Source: postgresql.org/docs/18/errcodes-appendix.html. */
const passing =
  /^(08...|57P0[1-5]|53300|40001|40P01|ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|ETIMEDOUT|EAI_AGAIN)$/;

/**
 * What `work` returns, tried again while the database is away.
 *
 * @param onWait called once, when the first attempt failed and others follow
 * @throws whatever `work` threw, when it is another failure or lasts too long
 */
export async function persistently<Result>(
  work: () => Promise<Result>,
  onWait?: (error: unknown) => void,
): Promise<Result> {
  const deadline = Date.now() + patienceMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    try {
      return await work();
    } catch (error) {
      if (!isPassing(error) || Date.now() + pauseMs > deadline) throw error;
      if (pauseMs === firstPauseMs) onWait?.(error);
      await delay(pauseMs);
    }
  }
}

/** Whether an error is of the kind that trying again gets over. */
function isPassing(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code === "string") return passing.test(code);
  // The driver's own words for a connection that ended under a statement; they carry no code.
  return /Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error|not queryable/.test(
    String(message),
  );
}
