/** Five optimizer steps beside diffusers, peft and torch.optim on stored tensors. */
import { noGrad, type Tensor } from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { velocityLoss } from "./objective.ts";
import { checkFiveSteps, distance, freshTraining, noisyStep, relative, setUp } from "./testing/step-case.ts";

// Loss and norm: sums of a few hundred squares in another order. Weights: Adam divides by the gradient's own size, so
// where it is near zero, rounding moves a weight by a share of the learning rate.
const limits = { loss: 1e-5, gradNorm: 1e-4, weight: 1e-5 };

describe.each(["plain", "conditioned", "reference", "reference_conditioned"])("train/%s", (name) => {
  test("noisy latents, target and timesteps are the reference's", () => {
    const setting = setUp(name);
    const { file } = setting;
    for (let index = 0; index < 5; index++) {
      const { sigma, noised } = noisyStep(setting, index);
      // One rounding each of a sigmoid and a mix: an ulp or two around 1.
      expect(distance(sigma, file.tensor(`out.step${index}.sigma`))).toBeLessThan(3e-7);
      expect(distance(noised.tokens_BSC, file.tensor(`out.step${index}.noisy`))).toBeLessThan(2e-6);
      expect(distance(noised.velocity_BTC, file.tensor(`out.step${index}.target`))).toBeLessThan(1e-6);
      const timesteps = file.tensor(`out.step${index}.timesteps`);
      const [B, T] = timesteps.shape as [number, number];
      const perToken = noised.timestep_BG.repeatInterleave(T / noised.timestep_BG.size(1), 1).expand([B, T]);
      expect(perToken.toArray()).toEqual(timesteps.toArray());
      const predicted = file.tensor(`out.step${index}.mask`).select(0, 0).sum().item();
      expect(noised.givenTokens).toBe(T - predicted);
    }
  });

  test("losses, gradient norms and LoRA weights follow the reference for five steps", () => {
    checkFiveSteps(setUp(name), limits);
  });

  test("the first step's gradients are the reference's", () => {
    const setting = setUp(name);
    const { file, lora, transformer, conditions } = setting;
    const { noised } = noisyStep(setting, 0);
    const predicted = transformer.forward({
      tokens_BTC: noised.tokens_BSC,
      timestep_BT: noised.timestep_BG,
      ...conditions,
    });
    expect(distance(predicted, file.tensor("out.step0.prediction"))).toBeLessThan(5e-5);
    velocityLoss(predicted, noised).backward();
    for (const [key, parameter] of lora.parameters()) {
      expect(relative(parameter.grad as Tensor, file.tensor(`grad.transformer.${key}`)), key).toBeLessThan(
        1e-4,
      );
    }
  });
});

test("what a step draws follows from seed and number alone, whatever was taken before", () => {
  const inOrder = freshTraining({});
  const drawn = [0, 1, 2].map((index) => inOrder.step.take(index).sigma);
  const other = freshTraining({});
  expect(other.step.take(2).sigma).toBe(drawn[2]);
});

test("a finite loss with a gradient that is not leaves weights and moments as they were", () => {
  // B is zero, so that an absurd scale does not show in the loss; the gradient of B is multiplied by it.
  const { lora, step } = freshTraining({}, { alpha: 1e38 });
  for (const { adapter } of lora.modules.values()) noGrad(() => adapter.a_RD.mul_(1e6));
  const state = () =>
    [...lora.parameters().values(), ...step.optimizer.state().values()].map((t) => t.toArray());
  const before = state();
  const result = step.take(0);
  expect(result.loss).toBeGreaterThan(0);
  expect(Number.isFinite(result.loss)).toBe(true);
  expect(Number.isFinite(result.gradNorm)).toBe(false);
  expect(state()).toEqual(before);
  expect(step.optimizer.stepCount).toBe(0);
});
