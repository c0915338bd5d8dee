/** Training steps on a GPU beside the reference and beside the CPU, and a training that goes on from its checkpoint. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { restoreCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import { describeOnGpu, testDevice } from "./testing/gpu.ts";
import { checkFiveSteps, distance, freshTraining, setUp } from "./testing/step-case.ts";

const device = testDevice;
// Ten times the CPU's: sums over thousands of threads, and Adam, which divides by gradients that may be near zero.
const limits = { loss: 1e-4, gradNorm: 1e-3, weight: 1e-4 };

describeOnGpu("training steps", () => {
  test.each(["plain", "conditioned", "reference", "reference_conditioned"])(
    "train/%s: five steps follow the reference",
    (name) => {
      checkFiveSteps(setUp(name, { device }), limits);
    },
  );

  test("with recomputed blocks they follow it too", () => {
    checkFiveSteps(setUp("plain", { device, checkpointBlocks: true }), limits);
  });

  test("with a bfloat16 model they stay near it, and the LoRA stays float32", () => {
    const setting = setUp("plain", { device, dtype: "bfloat16" });
    // bfloat16 keeps 8 bits; Adam's first steps are lr long whatever the gradient's size, so weights are not compared.
    checkFiveSteps(setting, { loss: 0.03, gradNorm: 0.15, weight: 1 });
    for (const tensor of [...setting.lora.parameters().values(), ...setting.step.optimizer.state().values()])
      expect(tensor.dtype).toBe("float32");
  });

  test("cached latents and captions on the CPU give the CPU's losses", () => {
    const [here, there] = [freshTraining({}), freshTraining({ device })];
    for (let index = 0; index < 5; index++) {
      const [expected, found] = [here.step.take(index), there.step.take(index)];
      expect(found.sigma).toBe(expected.sigma);
      expect(found.loss / expected.loss).toBeCloseTo(1, 4);
      expect(found.gradNorm / expected.gradNorm).toBeCloseTo(1, 3);
    }
  });
});

describeOnGpu("resume", () => {
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "resume-gpu-"));
  });
  afterAll(() => rmSync(root, { recursive: true }));

  test("goes on from a checkpoint as if nothing had happened", () => {
    const whole = freshTraining({ device });
    const losses = [0, 1, 2, 3].map((index) => whole.step.take(index).loss);
    const first = freshTraining({ device });
    for (const index of [0, 1]) first.step.take(index);
    const { lora, step } = first;
    const identity = { seed: 0 };
    const state = { version: 1 as const, step: 2, optimizerSteps: 2, loss: losses[1] ?? null, identity };
    const folder = saveCheckpoint(root, { lora, optimizer: step.optimizer, state, keep: 1 });
    const second = freshTraining({ device });
    restoreCheckpoint(folder, { lora: second.lora, optimizer: second.step.optimizer, identity });
    for (const [key, parameter] of second.lora.parameters())
      expect(distance(parameter, lora.parameters().get(key)!), `restored ${key}`).toBe(0);
    const resumed = [2, 3].map((index) => second.step.take(index).loss);
    for (const [i, loss] of resumed.entries()) expect(loss / losses[i + 2]!).toBeCloseTo(1, 5);
    // A GPU may add in another order each time; bit for bit is promised on a CPU only.
    const limit = device === "cpu" ? 0 : 1e-4;
    for (const [key, parameter] of second.lora.parameters())
      expect(distance(parameter, whole.lora.parameters().get(key)!), key).toBeLessThanOrEqual(limit);
  });
});
