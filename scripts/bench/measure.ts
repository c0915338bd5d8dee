/**
 * Timing: medians of many repetitions. The two sides alternate, so that a change of clock speed affects both.
 */
import { spawnSync } from "node:child_process";
import type { Body } from "./cases.ts";

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

/** Median seconds of one operation, in groups of at least 20 ms, for about two seconds. */
export function secondsOf(body: Body): number {
  for (let i = 0; i < 3; i++) body();
  const started = performance.now();
  body();
  const group = Math.max(1, Math.floor(20 / Math.max(1e-6, performance.now() - started)));
  const times: number[] = [];
  const until = performance.now() + 2000;
  while (times.length < 5 || (performance.now() < until && times.length < 200)) {
    const from = performance.now();
    for (let i = 0; i < group; i++) body();
    times.push((performance.now() - from) / 1000 / group);
  }
  return median(times) / (body.count ?? 1);
}

/** Median seconds of one repetition of the C++ program's case. @throws Error with what it printed when it fails */
export function secondsOfCpp(program: string, name: string, threads: number): number {
  const run = spawnSync(program, [name, String(threads)], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`${program} ${name}: ${run.stderr}`);
  return Number(run.stdout);
}

export type Pair = { readonly ours: number; readonly theirs: number; readonly ratios: readonly number[] };

/** Both sides in turn, `rounds` times; the ratio is theirs / ours (1 is equal, above 1 we are faster). */
export function paired(ours: () => number, theirs: () => number, rounds: number): Pair {
  const pairs = Array.from({ length: rounds }, () => ({ ours: ours(), theirs: theirs() }));
  return {
    ours: median(pairs.map((pair) => pair.ours)),
    theirs: median(pairs.map((pair) => pair.theirs)),
    ratios: pairs.map((pair) => pair.theirs / pair.ours),
  };
}
