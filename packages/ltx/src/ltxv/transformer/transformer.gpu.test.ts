/** The transformer and its LoRA on a GPU against the fixtures the CPU is held to. */
import { noGrad } from "@ltx-trainer/torch";
import { expect, test } from "vitest";
import { gridOf } from "../../latent-grid.ts";
import { compare } from "../../testing/expect-close.ts";
import { Fixture } from "../../testing/fixture.ts";
import { describeOnGpu, onGpu, testDevice } from "../../testing/gpu.ts";
import { checkLoraSteps, loraTolerances } from "../../testing/lora-checks.ts";
import {
  checkForward,
  checkGradients,
  checkHalf,
  checkRecomputed,
  forwardsOf,
  transformerTolerances,
} from "../../testing/transformer-checks.ts";
import { ltxvCompression } from "../config.ts";
import { buildRope } from "./rope.ts";

const { output, loss, gradient, recomputed } = transformerTolerances;
const fixtureOn = (name: string) => new Fixture(name, testDevice);

describeOnGpu("transformer", () => {
  test.each(["t_a", "t_b", "t_c"])("%s answers like the reference, in every form of its inputs", (name) => {
    const fixture = fixtureOn(`transformer/${name}`);
    for (const forward of forwardsOf(fixture)) checkForward(fixture, forward, onGpu(output));
  });

  test.each(["t_a", "t_b", "t_c"])("%s has the reference's loss and gradients", (name) => {
    const tolerance = { loss: onGpu(loss), gradient: onGpu(gradient) };
    checkGradients(fixtureOn(`transformer/${name}`), tolerance);
  });

  test("recomputed blocks give the same loss and gradients", () => {
    checkRecomputed(fixtureOn("transformer/t_b"), onGpu(recomputed));
  });

  test("in bfloat16 it answers like the reference in bfloat16", () => {
    const [base, answers] = [fixtureOn("transformer/t_a"), fixtureOn("bf16/transformer")];
    for (const forward of ["scalar", "token", "coords"]) checkHalf(base, answers, forward);
  });

  test.each([2048, 4096])("position tables of width %i are the CPU's", (width) => {
    for (const timeRule of ["plain", "causal"] as const) {
      const options = {
        width,
        grid: gridOf({ F: 21, H: 15, W: 22 }, ltxvCompression),
        frameRate: 24,
        timeRule,
      };
      const here = noGrad(() => buildRope({ ...options, device: "cpu" }));
      const there = noGrad(() => buildRope({ ...options, device: testDevice }));
      // Angles are equal to the bit; only sine and cosine themselves may round differently.
      for (const table of ["cos_BTD", "sin_BTD"] as const) {
        const last = (rope: typeof here) => rope[table].narrow(1, 21 * 15 * 22 - 64, 64);
        expect(compare(last(there), last(here)).abs, `${timeRule} ${table}`).toBeLessThan(1e-6);
        for (const rope of [here, there]) rope[table].free();
      }
    }
  });
});

describeOnGpu("LoRA", () => {
  test.each(["plain", "conditioned"])("%s: five steps follow the reference", (name) => {
    const { loss, gradient, weight } = loraTolerances;
    // Where a gradient is near zero, Adam turns its rounding into a share of the learning rate.
    checkLoraSteps(fixtureOn(`train/${name}`), {
      loss: onGpu(loss),
      gradient: { ...onGpu(gradient), rel: gradient.rel * 4 },
      weight: onGpu(weight, 10),
    });
  });
});
