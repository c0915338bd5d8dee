/** For tests: the fixtures of the training step as a model, a LoRA and inputs, on any device. */
import { fileURLToPath } from "node:url";
import {
  ConfigFields,
  gridOf,
  injectLora,
  type Lora,
  ltxvCompression,
  parseTransformerConfig,
  Transformer,
  unpackLatents,
} from "@ltx-trainer/ltx";
import {
  type Device,
  type DType,
  Generator,
  noGrad,
  Parameters,
  randn,
  SafetensorsFile,
  type Tensor,
  tensor,
} from "@ltx-trainer/torch";
import { expect } from "vitest";
import type { EncodedSample } from "../../cache/encode.ts";
import type { Plan } from "../../plan.ts";
import { addNoise, type Noised, prependReference } from "../objective.ts";
import { type TrainingData, TrainingStep } from "../step.ts";

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
  readonly targets: readonly string[];
};

type Place = {
  readonly device?: Device;
  /** Of the model; the LoRA is float32. */
  readonly dtype?: DType;
  readonly checkpointBlocks?: boolean;
};

const open = (name: string): SafetensorsFile =>
  SafetensorsFile.open(
    fileURLToPath(new URL(`../../../../../fixtures/${name}.safetensors`, import.meta.url)),
  );

const base = open("transformer/t_b");

/** Largest difference of any element, on whatever devices they are. */
export const distance = (a: Tensor, b: Tensor): number =>
  a
    .detach()
    .to({ device: "cpu" })
    .sub(b.detach().to({ device: "cpu" }))
    .abs()
    .max()
    .item();

/** The same over the reference's largest magnitude. */
export const relative = (a: Tensor, b: Tensor): number => distance(a, b) / b.abs().max().item();

function transformerOn({ device = "cpu", dtype = "float32" }: Place): Transformer {
  const config = parseTransformerConfig(new ConfigFields(JSON.parse(base.metadata.config ?? "{}"), "t_b"));
  const prefix = "weights.";
  const source = {
    names: () =>
      base
        .names()
        .filter((key) => key.startsWith(prefix))
        .map((key) => key.slice(prefix.length)),
    has: (key: string) => base.has(prefix + key),
    info: (key: string) => base.info(prefix + key),
    tensor: (key: string) => base.tensor(prefix + key),
  };
  return new Transformer(Parameters.from(source, { dtype, device }), config);
}

/** The fixture `train/<name>`, ready to step. */
export function setUp(name: string, place: Place = {}) {
  const { device = "cpu", checkpointBlocks = false } = place;
  const file = open(`train/${name}`);
  const facts = JSON.parse(file.metadata.case ?? "{}") as Case;
  const at = (key: string) => file.tensor(key).to({ device });
  const transformer = transformerOn(place);
  const stored = file.names().find((key) => key.startsWith("in.lora.") && key.includes("lora_A")) as string;
  const rank = file.info(stored).shape[0] as number;
  const lora = injectLora(transformer, { rank, targets: facts.targets, generator: new Generator(0) });
  for (const [key, parameter] of lora.parameters()) {
    noGrad(() => parameter.copy_(file.tensor(`in.lora.transformer.${key}`)));
  }
  const plan = planOf(facts, checkpointBlocks);
  const data = { samples: [{}], embeddings: new Map() } as unknown as TrainingData;
  const step = new TrainingStep(transformer, lora, data, plan);
  const [F, H, W] = facts.grid;
  const conditions = {
    text_BLD: at("in.text"),
    textMask_BL: at("in.text_mask"),
    grid: gridOf({ F, H, W }, ltxvCompression),
    videos: file.has("in.reference") ? 2 : 1,
    frameRate: facts.fps,
  };
  return { file, at, facts, transformer, lora, step, conditions };
}

function planOf(facts: Case, checkpointBlocks: boolean): Plan {
  return {
    steps: facts.steps,
    seed: 0,
    optimizer: {
      learningRate: facts.lr,
      finalLearningRateFactor: facts.end_factor,
      weightDecay: facts.weight_decay,
      maxGradNorm: facts.max_norm,
    },
    objective: {
      causalTime: false,
      checkpointBlocks,
      clampSigmaShift: true,
      firstFrameConditioningP: 0.5,
    },
  } as Plan;
}

export type Setting = ReturnType<typeof setUp>;

/** The noisy latents of one recorded step. */
export function noisyStep(setting: Setting, index: number): { sigma: Tensor; noised: Noised } {
  const { file, at, facts, conditions } = setting;
  const { grid } = conditions;
  const sigma = at(`in.step${index}.normal`).add(facts.shift).sigmoid();
  const latents = unpackLatents(at("in.latents"), grid);
  const noise = unpackLatents(at(`in.step${index}.noise`), grid);
  const keepFirstFrame = facts.conditioned?.[index] ?? false;
  const target = addNoise(latents, noise, sigma, { grid, keepFirstFrame });
  if (!file.has("in.reference")) return { sigma, noised: target };
  const reference = unpackLatents(at("in.reference"), grid);
  return { sigma, noised: prependReference(target, reference, grid) };
}

/** Shares of the reference's loss and gradient norm, and a distance of weights. */
export type Limits = { readonly loss: number; readonly gradNorm: number; readonly weight: number };

/** Losses, gradient norms, learning rates and LoRA weights follow the reference for five steps. */
export function checkFiveSteps(setting: Setting, limits: Limits): void {
  const { file, facts, lora, step, conditions } = setting;
  for (let index = 0; index < 5; index++) {
    const { noised } = noisyStep(setting, index);
    const result = step.update(index, noised, conditions);
    const loss = file.tensor(`out.step${index}.loss`).item();
    expect(Math.abs(result.loss - loss) / loss, `loss ${index}`).toBeLessThan(limits.loss);
    expect(result.learningRate).toBeCloseTo(facts.learning_rates[index] as number, 12);
    const norm = facts.gradient_norms[index] as number;
    expect(Math.abs(result.gradNorm - norm) / norm, `norm ${index}`).toBeLessThan(limits.gradNorm);
    if (![1, 2, 5].includes(index + 1)) continue;
    for (const [key, parameter] of lora.parameters()) {
      const reference = file.tensor(`out.lora_after_${index + 1}.transformer.${key}`);
      expect(distance(parameter, reference), key).toBeLessThan(limits.weight);
    }
  }
}

/** Three clips and captions as the cache hands them over, with a fresh LoRA: `take` decides all the rest. */
export function freshTraining(
  place: Place,
  options: { readonly steps?: number; readonly lr?: number; readonly alpha?: number } = {},
): { lora: Lora; step: TrainingStep; plan: Plan } {
  const transformer = transformerOn(place);
  const { inChannels, captionChannels } = transformer.config;
  const generator = new Generator(21);
  const grid = gridOf({ F: 3, H: 2, W: 2 }, ltxvCompression);
  const samples = ["one", "two", "three"].map(
    (caption): EncodedSample => ({
      id: caption,
      caption,
      frameRate: 24,
      grid,
      latents_1CFHW: randn([1, inChannels, grid.F, grid.H, grid.W], { generator }),
    }),
  );
  const embeddings = new Map(
    samples.map(({ caption }) => {
      const text_1LD = randn([1, 5, captionChannels], { generator });
      return [caption, { text_1LD, mask_1L: tensor([[1, 1, 1, 0, 0]], { dtype: "int64" }) }];
    }),
  );
  const { steps = 6, lr = 1e-3, alpha = 4 } = options;
  const lora = injectLora(transformer, { rank: 4, alpha, generator });
  const facts = { steps, lr, end_factor: 0.1, weight_decay: 0.01, max_norm: 1 } as Case;
  const plan = planOf(facts, place.checkpointBlocks ?? false);
  return { lora, plan, step: new TrainingStep(transformer, lora, { samples, embeddings }, plan) };
}
