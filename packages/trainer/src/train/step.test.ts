/** Five optimizer steps beside diffusers, peft and torch.optim on stored tensors. */
import { fileURLToPath } from "node:url";
import {
  ConfigFields,
  gridOf,
  injectLora,
  parseTransformerConfig,
  Transformer,
  unpackLatents,
} from "@ltx-trainer/ltx";
import { Generator, Parameters, SafetensorsFile, type Tensor } from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import type { Plan } from "../plan.ts";
import { addNoise, velocityLoss } from "./objective.ts";
import { TrainingStep } from "./step.ts";

type Case = {
  readonly lr: number;
  readonly weight_decay: number;
  readonly max_norm: number;
  readonly end_factor: number;
  readonly steps: number;
  readonly learning_rates: readonly number[];
  readonly gradient_norms: readonly number[];
  readonly shift: number;
  readonly fps: number;
  readonly grid: readonly [number, number, number];
  readonly conditioned?: readonly boolean[];
  readonly rank?: number;
};

const fixture = (name: string) =>
  SafetensorsFile.open(fileURLToPath(new URL(`../../../../fixtures/${name}.safetensors`, import.meta.url)));

const distance = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item();
const relative = (a: Tensor, b: Tensor) => distance(a, b) / b.abs().max().item();

function setUp(name: string) {
  const base = fixture("transformer/t_b");
  const file = fixture(`train/${name}`);
  const facts = JSON.parse(file.metadata.case ?? "{}") as Case;
  const config = parseTransformerConfig(new ConfigFields(JSON.parse(base.metadata.config ?? "{}"), "t_b"));
  const p = Parameters.from(
    {
      names: () =>
        base
          .names()
          .filter((key) => key.startsWith("weights."))
          .map((key) => key.slice(8)),
      has: (key) => base.has(`weights.${key}`),
      info: (key) => base.info(`weights.${key}`),
      tensor: (key) => base.tensor(`weights.${key}`),
    },
    { dtype: "float32" },
  );
  const transformer = new Transformer(p, config);
  const stored = file.names().filter((key) => key.startsWith("in.lora."));
  const rank = file.info(stored.find((key) => key.includes("lora_A")) as string).shape[0] as number;
  const lora = injectLora(transformer, { rank, generator: new Generator(0) });
  for (const [key, parameter] of lora.parameters()) {
    parameter
      .requiresGrad_(false)
      .copy_(file.tensor(`in.lora.transformer.${key}`))
      .requiresGrad_(true);
  }
  const plan = {
    steps: facts.steps,
    seed: 0,
    optimizer: {
      learningRate: facts.lr,
      finalLearningRateFactor: facts.end_factor,
      weightDecay: facts.weight_decay,
      maxGradNorm: facts.max_norm,
    },
    objective: { causalTime: false, checkpointBlocks: false },
  } as Plan;
  const data = { samples: [{}], embeddings: new Map() } as unknown as ConstructorParameters<
    typeof TrainingStep
  >[2];
  const step = new TrainingStep(transformer, lora, data, plan);
  const [F, H, W] = facts.grid;
  const conditions = {
    text_BLD: file.tensor("in.text"),
    textMask_BL: file.tensor("in.text_mask"),
    grid: gridOf({ F, H, W }),
    frameRate: facts.fps,
  };
  return { file, facts, transformer, lora, step, conditions };
}

function noisyStep({ file, facts, conditions }: ReturnType<typeof setUp>, index: number) {
  const { grid } = conditions;
  const sigma = file.tensor(`in.step${index}.normal`).add(facts.shift).sigmoid();
  const latents = unpackLatents(file.tensor("in.latents"), grid);
  const noise = unpackLatents(file.tensor(`in.step${index}.noise`), grid);
  const keepFirstFrame = facts.conditioned?.[index] ?? false;
  return { sigma, noised: addNoise(latents, noise, sigma, { grid, keepFirstFrame }) };
}

describe.each(["plain", "conditioned"])("train/%s", (name) => {
  test("noisy latents, target and timesteps are the reference's", () => {
    const setting = setUp(name);
    const { file } = setting;
    for (let index = 0; index < 5; index++) {
      const { sigma, noised } = noisyStep(setting, index);
      // One rounding each of a sigmoid and a mix: an ulp or two around 1.
      expect(distance(sigma, file.tensor(`out.step${index}.sigma`))).toBeLessThan(3e-7);
      expect(distance(noised.tokens_BTC, file.tensor(`out.step${index}.noisy`))).toBeLessThan(2e-6);
      expect(distance(noised.velocity_BTC, file.tensor(`out.step${index}.target`))).toBeLessThan(1e-6);
      const timesteps = file.tensor(`out.step${index}.timesteps`);
      const [B, T] = timesteps.shape as [number, number];
      const perToken = noised.timestep_BG.repeatInterleave(T / noised.timestep_BG.size(1), 1).expand([B, T]);
      expect(perToken.toArray()).toEqual(timesteps.toArray());
      expect(noised.givenTokens > 0).toBe(file.tensor(`out.step${index}.mask`).min().item() === 0);
    }
  });

  test("losses, gradient norms and LoRA weights follow the reference for five steps", () => {
    const setting = setUp(name);
    const { file, facts, lora, step, conditions } = setting;
    for (let index = 0; index < 5; index++) {
      const { noised } = noisyStep(setting, index);
      const result = step.update(index, noised, conditions);
      const loss = file.tensor(`out.step${index}.loss`).item();
      // Sums of a few hundred squares in another order.
      expect(Math.abs(result.loss - loss) / loss).toBeLessThan(1e-5);
      expect(result.learningRate).toBeCloseTo(facts.learning_rates[index] as number, 12);
      const norm = facts.gradient_norms[index] as number;
      expect(Math.abs(result.gradNorm - norm) / norm).toBeLessThan(1e-4);
      if (![1, 2, 5].includes(index + 1)) continue;
      for (const [key, parameter] of lora.parameters()) {
        // Adam divides by the gradient's own size: where it is near zero, rounding moves a weight by a share of lr.
        expect(
          distance(parameter, file.tensor(`out.lora_after_${index + 1}.transformer.${key}`)),
        ).toBeLessThan(1e-5);
      }
    }
  });

  test("the first step's gradients are the reference's", () => {
    const setting = setUp(name);
    const { file, lora, transformer, conditions } = setting;
    const { noised } = noisyStep(setting, 0);
    const predicted = transformer.forward({
      tokens_BTC: noised.tokens_BTC,
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
