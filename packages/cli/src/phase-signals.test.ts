/**
 * A training that is signalled: its exit status, its checkpoint, its words, and that a resumed one ends with the same bits.
 *
 * Every signal once, each in another phase; `tests/long/phase-signals.test.ts` has the whole table.
 */
import { afterAll, beforeAll, test, vi } from "vitest";
import { expectGoodEnd } from "./testing/expect-good-end.ts";
import { type PhaseName, SignalledTrainings, type SignalName } from "./testing/phase-signals.ts";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

let trainings: SignalledTrainings;
beforeAll(async () => {
  trainings = new SignalledTrainings();
  await trainings.undisturbed("whole");
});
afterAll(() => trainings.end());

const diagonal: readonly (readonly [PhaseName, SignalName])[] = [
  ["reading the dataset", "SIGTERM"],
  ["encoding captions", "SIGKILL"],
  ["training", "SIGINT"],
  ["decoding videos", "SIGINT twice"],
];

test.each(diagonal)("in %s: %s", (phase, signal) => expectGoodEnd(trainings, phase, signal));
