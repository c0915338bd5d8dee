/** Every signal in every phase of a training: see `packages/cli/src/phase-signals.test.ts`, which has a part of this table. */
import { afterAll, beforeAll, test } from "vitest";
import { expectGoodEnd } from "../../packages/cli/src/testing/expect-good-end.ts";
import {
  type PhaseName,
  phases,
  SignalledTrainings,
  type SignalName,
  signals,
} from "../../packages/cli/src/testing/phase-signals.ts";

let trainings: SignalledTrainings;
beforeAll(async () => {
  trainings = new SignalledTrainings();
  await trainings.undisturbed("whole");
});
afterAll(() => trainings.end());

const table = (Object.keys(phases) as PhaseName[]).flatMap((phase) =>
  (Object.keys(signals) as SignalName[]).map((signal) => [phase, signal] as const),
);

test.each(table)("in %s: %s", (phase, signal) => expectGoodEnd(trainings, phase, signal));
