/**
 * Retries statements on transient database errors, such as a restart or a failover.
 *
 * Only for idempotent statements. Ours are: each names the state it leaves, or the row it inserts.
 */
import { setTimeout as delay } from "node:timers/promises";

const firstPauseMs = 25;
const longestPauseMs = 500;
/** Longer than a restart takes, shorter than the timeouts of clients. */
const patienceMs = 20_000;

/** Transient conditions. Source: postgresql.org/docs/18/errcodes-appendix.html. */
const passing =
  /^(08...|57P0[1-5]|53300|40001|40P01|ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|ETIMEDOUT|EAI_AGAIN)$/;

/**
 * Runs `work` and retries it while the database is unreachable.
 *
 * @param onWait called once, after the first failed attempt
 * @throws the error of `work` when it is not transient or lasts too long
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
      if (!isTransient(error) || Date.now() + pauseMs > deadline) throw error;
      if (pauseMs === firstPauseMs) onWait?.(error);
      await delay(pauseMs);
    }
  }
}

/** Tells whether an error is transient. */
function isTransient(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code === "string") return passing.test(code);
  // The driver's messages for a connection that ended during a statement. They have no code.
  return /Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error|not queryable/.test(
    String(message),
  );
}
