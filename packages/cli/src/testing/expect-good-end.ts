/** What every signal in every phase has to end in. */
import { expect } from "vitest";
import type { PhaseName, SignalledTrainings, SignalName } from "./phase-signals.ts";

const statuses: Readonly<Record<SignalName, readonly [code: number | null, signal: string | null]>> = {
  SIGINT: [130, null],
  "SIGINT twice": [130, null],
  SIGTERM: [130, null],
  SIGKILL: [null, "SIGKILL"],
};

/** Phases that come after a checkpoint was written. */
const late: ReadonlySet<PhaseName> = new Set(["writing a checkpoint", "sampling", "decoding videos"]);

/** Compares with the training `whole`, which nobody signalled. */
export async function expectGoodEnd(
  trainings: SignalledTrainings,
  phase: PhaseName,
  signal: SignalName,
): Promise<void> {
  const out = `${phase}-${signal}`.replaceAll(" ", "-");
  const { code, signal: by, stderr } = await trainings.signalled(out, phase, signal);
  expect([code, by], stderr).toEqual(statuses[signal]);
  // Nobody is to blame, and the way on is named.
  if (signal !== "SIGKILL") {
    expect(stderr).toMatch(/interrupted/);
    expect(stderr).toMatch(/Run the same command/);
    expect(stderr).not.toMatch(/bug|report it|internal/i);
  }
  const steps = trainings.checkpoints(out);
  if (late.has(phase)) expect(steps).not.toEqual([]);
  // A training that was asked to stop writes a checkpoint; one that was killed has those from before.
  if (phase === "training" && signal !== "SIGKILL") expect(steps).not.toEqual([]);
  const resumed = await trainings.goOn(out);
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(trainings.lora(out).equals(trainings.lora("whole")), "the LoRA's bits").toBe(true);
}
