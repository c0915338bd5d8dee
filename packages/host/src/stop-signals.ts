/** When a program is asked to stop: by signals, and by the end of the npm that started it. */

/**
 * Signals closer together are one: a terminal's Ctrl-C reaches npm and us, and npm passes it on; systemd signals every
 * process of a service, and those pass it on. Nobody who wants an immediate end asks twice in so short a time.
 */
export const signalsApartMs = 2_000;
const parentLookMs = 250;

/**
 * Calls `listener` when the program is asked to stop; `times` counts from 1. Returns a function that ends it.
 */
export function onStopSignals(listener: (times: number, signal: NodeJS.Signals) => void): () => void {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let times = 0;
  let countedAt = Number.NEGATIVE_INFINITY;
  const hear = (signal: NodeJS.Signals) => {
    const nowMs = performance.now();
    if (nowMs - countedAt < signalsApartMs) return;
    countedAt = nowMs;
    listener(++times, signal);
  };
  for (const signal of signals) process.on(signal, hear);
  const stopWatching = whenNpmEnds(() => hear("SIGTERM"));
  return () => {
    for (const signal of signals) process.off(signal, hear);
    stopWatching();
  };
}

/**
 * npm passes SIGTERM on to the shell that it starts commands with. Where that shell runs the program as a child, as dash
 * does for `npx`, both end and the program is left over, unasked.
 */
function whenNpmEnds(listener: () => void): () => void {
  if (process.env.npm_command === undefined) return () => {};
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    listener();
  }, parentLookMs);
  timer.unref();
  return () => clearInterval(timer);
}
