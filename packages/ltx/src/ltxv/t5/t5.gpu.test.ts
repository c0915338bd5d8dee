/** The text encoder on a GPU against the fixtures the CPU is held to. */
import { noGrad } from "@ltx-trainer/torch";
import { test } from "vitest";
import { Fixture } from "../../testing/fixture.ts";
import { describeOnGpu, onGpu, testDevice } from "../../testing/gpu.ts";
import {
  checkHalfT5,
  checkPositionBias,
  checkPrompts,
  checkStages,
  encoderOf,
  t5Tolerances,
} from "../../testing/t5-checks.ts";

const stage = onGpu(t5Tolerances.stage);
const whole = onGpu(t5Tolerances.whole);
const fixtureOn = (name: string) => new Fixture(name, testDevice);

describeOnGpu("text encoder", () => {
  test("prompts agree stage by stage and as a whole", () => {
    const fixture = fixtureOn("t5/t5_a");
    const encoder = encoderOf(fixture);
    noGrad(() => {
      checkPositionBias(fixture, encoder);
      checkStages(fixture, encoder, { stage, whole });
      for (const length of [7, 128, 256]) checkPrompts(fixture, encoder, length, whole);
    });
    encoder.parameters.free();
  });

  test("in bfloat16 it gives the reference's embeddings up to rounding", () => {
    checkHalfT5(fixtureOn("t5/t5_a"), fixtureOn("bf16/t5"));
  });
});
