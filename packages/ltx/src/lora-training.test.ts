/** Five optimizer steps of a LoRA: model, adapter, gradients, clipping and AdamW together, as peft and torch do them. */
import { AdamW, clipGradNorm, linearDecay, scope } from "@ltx-trainer/torch";
import { expect, test } from "vitest";
import { parseTransformerConfig } from "./config.ts";
import { gridOf } from "./latent-grid.ts";
import { exportLora, loadLora } from "./lora-file.ts";
import { expectClose } from "./testing/expect-close.ts";
import { Fixture } from "./testing/fixture.ts";
import { Transformer } from "./transformer/transformer.ts";

const LOSS = { rel: 1e-5, why: "float32 sums in another order (ltx-model.md 9.3, trainer step)" };
const GRADIENT = { rel: 1e-4, why: "float32 sums in another order, forward and backward (ltx-model.md 9.3)" };
const WEIGHT = { abs: 1e-5, why: "Adam divides by the gradient's size, so noise in small ones grows (9.3)" };

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

test.each(["plain", "conditioned"])("%s: losses, gradients and weights follow the reference", (name) => {
  const fixture = new Fixture(`train/${name}`);
  const asked = fixture.case<Case>();
  const model = fixture.model((p) => new Transformer(p, parseTransformerConfig(fixture.config)));
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
        grid: gridOf({ F: 3, H: 2, W: 3 }),
        frameRate: asked.fps,
      });
      const loss = prediction.sub(at("target")).square().mul(at("mask")).div(at("mask").mean()).mean();
      optimizer.zeroGrad();
      loss.backward();
      expectClose(`train/${name} step ${i} loss`, loss, at("loss"), LOSS);
      if (i === 0) {
        for (const [key, parameter] of lora.parameters()) {
          const reference = fixture.tensor(`grad.transformer.${key}`);
          expectClose(`train/${name} grad ${key}`, parameter.grad!, reference, GRADIENT);
        }
      }
      const ours = clipGradNorm(lora.parameters().values(), asked.max_norm);
      expect(Math.abs(ours / norm - 1), `gradient norm of step ${i}`).toBeLessThan(GRADIENT.rel);
      optimizer.step(lr * linearDecay(i, asked.steps, 1, asked.end_factor));
    });
    const saved = `out.lora_after_${i + 1}.`;
    for (const key of fixture.names(saved)) {
      const weight = exportLora(lora, "diffusers").get(key)!;
      expectClose(`train/${name} after ${i + 1} ${key}`, weight, fixture.tensor(saved + key), WEIGHT);
    }
  }
  model.free();
});
