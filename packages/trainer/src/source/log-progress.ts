/** Signs of life in the log while long work runs: progress events are drawn and forgotten, a log is read afterwards. */
import type { PrepareContext } from "../dataset/types.ts";

/**
 * A function that logs what `say` returns, the first time after one interval and then at most once per interval.
 */
export function logEvery(
  context: Pick<PrepareContext, "log" | "logIntervalMs">,
): (say: () => string) => void {
  const intervalMs = context.logIntervalMs ?? 10_000;
  let loggedAt = performance.now();
  return (say) => {
    if (performance.now() - loggedAt < intervalMs) return;
    loggedAt = performance.now();
    context.log?.("info", say());
  };
}
