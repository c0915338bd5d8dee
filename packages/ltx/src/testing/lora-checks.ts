/** For tests: five optimizer steps of a LoRA beside peft and torch.optim, on any device. */
import { AdamW, clipGradNorm, linearDecay, scope } from "@ltx-trainer/torch";
import { expect } from "vitest";
import { gridOf } from "../latent-grid.ts";
import { exportLora, loadLora } from "../lora/lora-file.ts";
import { ltxvCompression } from "../ltxv/config.ts";
import { expectClose, type Tolerance } from "./expect-close.ts";
import type { Fixture } from "./fixture.ts";
import { transformerOf } from "./transformer-checks.ts";

type Case = {
  fps: number;
  steps: number;
  end_factor: number;
  lr: number;
  betas: [number, number];
  eps: number;
  weight_decay: number;
  max_norm: number;
  gradient_norms: number[];
};

/** Tolerances of float32 on a CPU. */
export const loraTolerances = {
  loss: { rel: 1e-5, why: "float32 sums in another order (ltx-model.md 9.3, trainer step)" },
  gradient: { rel: 1e-4, why: "float32 sums in another order, forward and backward (ltx-model.md 9.3)" },
  weight: { abs: 1e-5, why: "Adam divides by the gradient's size, so noise in small ones grows (9.3)" },
} satisfies Record<string, Tolerance>;

/** Losses, gradients, gradient norms and weights follow the reference. @param fixture `train/plain` or `train/conditioned` */
export function checkLoraSteps(
  fixture: Fixture,
  tolerance: { loss: Tolerance; gradient: Tolerance & { rel: number }; weight: Tolerance },
): void {
  const asked = fixture.case<Case>();
  const model = transformerOf(fixture);
  const { lora } = loadLora(model, fixture.source("in.lora."), { trainable: true });
  const { lr, betas, eps, weight_decay: weightDecay } = asked;
  const optimizer = new AdamW(lora.parameters(), { lr, betas, eps, weightDecay });
  for (const [i, norm] of asked.gradient_norms.entries()) {
    scope(() => {
      const at = (key: string) => fixture.tensor(`out.step${i}.${key}`);
      const prediction = model.forward({
        tokens_BTC: at("noisy"),
        text_BLD: fixture.tensor("in.text"),
        textMask_BL: fixture.tensor("in.text_mask"),
        timestep_BT: at("timesteps"),
        grid: gridOf({ F: 3, H: 2, W: 3 }, ltxvCompression),
        frameRate: asked.fps,
      });
      const loss = prediction.sub(at("target")).square().mul(at("mask")).div(at("mask").mean()).mean();
      optimizer.zeroGrad();
      loss.backward();
      expectClose(`${fixture.name} step ${i} loss`, loss, at("loss"), tolerance.loss);
      if (i === 0) {
        for (const [key, parameter] of lora.parameters()) {
          const reference = fixture.tensor(`grad.transformer.${key}`);
          expectClose(`${fixture.name} grad ${key}`, parameter.grad!, reference, tolerance.gradient);
        }
      }
      const ours = clipGradNorm(lora.parameters().values(), asked.max_norm);
      expect(Math.abs(ours / norm - 1), `gradient norm of step ${i}`).toBeLessThan(tolerance.gradient.rel);
      optimizer.step(lr * linearDecay(i, asked.steps, 1, asked.end_factor));
    });
    const saved = `out.lora_after_${i + 1}.`;
    for (const key of fixture.names(saved)) {
      const weight = exportLora(lora, "diffusers").get(key)!;
      expectClose(
        `${fixture.name} after ${i + 1} ${key}`,
        weight,
        fixture.tensor(saved + key),
        tolerance.weight,
      );
    }
  }
  optimizer.free();
  lora.remove();
  model.free();
}
