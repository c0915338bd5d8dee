/**
 * One optimizer step: a sample, a noise level, the loss, its gradient, the update.
 */
import type { Lora, PromptEmbedding, VelocityInputs, VideoTransformer } from "@ltx-trainer/ltx";
import {
  AdamW,
  backwardThrough,
  clipGradNorm,
  Generator,
  linearDecay,
  rand,
  randn,
  scope,
} from "@ltx-trainer/torch";
import type { EncodedSample } from "../cache/encode.ts";
import type { Plan } from "../plan.ts";
import { seedFor } from "../process/seeds.ts";
import { SampleOrder } from "./batches.ts";
import {
  addNoise,
  drawSigmas,
  type Noised,
  prependReference,
  sigmaShift,
  velocityLoss,
} from "./objective.ts";

export type StepResult = {
  readonly loss: number;
  /** Noise level of the step. */
  readonly sigma: number;
  readonly learningRate: number;
  /** L2 norm of all gradients together, before clipping. */
  readonly gradNorm: number;
};

/** What a step needs besides the model. */
export type TrainingData = {
  readonly samples: readonly EncodedSample[];
  readonly embeddings: ReadonlyMap<string, PromptEmbedding>;
};

/** What the model is given besides the noisy tokens. */
type Conditions = Pick<VelocityInputs, "text_BLD" | "textMask_BL" | "grid" | "videos" | "frameRate">;

/** Whether a step may change the weights. */
export function isFiniteStep({ loss, gradNorm }: Pick<StepResult, "loss" | "gradNorm">): boolean {
  return Number.isFinite(loss) && Number.isFinite(gradNorm);
}

export class TrainingStep {
  readonly optimizer: AdamW;
  readonly #transformer: VideoTransformer;
  readonly #lora: Lora;
  readonly #data: TrainingData;
  readonly #plan: Plan;
  readonly #order: SampleOrder;
  readonly #generator = new Generator(0);

  constructor(transformer: VideoTransformer, lora: Lora, data: TrainingData, plan: Plan) {
    const { learningRate, weightDecay } = plan.optimizer;
    this.#transformer = transformer;
    this.#lora = lora;
    this.#data = data;
    this.#plan = plan;
    this.#order = new SampleOrder(data.samples.length, plan.seed);
    this.optimizer = new AdamW(lora.parameters(), { lr: learningRate, weightDecay });
  }

  /** Takes step `step`, counted from 0. What it draws follows from the plan's seed and `step` alone. */
  take(step: number): StepResult {
    return scope(() => {
      const sample = this.#data.samples[this.#order.at(step)] as EncodedSample;
      const { noised, sigma } = this.#noisySample(sample, step);
      return { ...this.update(step, noised, this.#conditionsOf(sample)), sigma };
    });
  }

  /**
   * Loss, gradient, clipping and update for inputs that are already noisy.
   *
   * When the loss or the gradient norm is not finite, nothing is updated: weights, moments and their count stay as they
   * were, and the caller decides.
   */
  update(step: number, noised: Noised, conditions: Conditions): Omit<StepResult, "sigma"> {
    const { learningRate, finalLearningRateFactor, maxGradNorm } = this.#plan.optimizer;
    const { causalTime, checkpointBlocks } = this.#plan.objective;
    const lr = learningRate * linearDecay(step, this.#plan.steps, 1, finalLearningRateFactor);
    return scope(() => {
      const loss = backwardThrough(() => {
        const predicted_BTC = this.#transformer.forward({
          tokens_BTC: noised.tokens_BSC,
          timestep_BT: noised.timestep_BG,
          ...conditions,
          causalTime,
          checkpointBlocks,
        });
        return velocityLoss(predicted_BTC, noised);
      });
      const gradNorm = clipGradNorm(this.#lora.parameters().values(), maxGradNorm);
      const result = { loss: loss.item(), learningRate: lr, gradNorm };
      if (isFiniteStep(result)) this.optimizer.step(lr);
      this.optimizer.zeroGrad();
      return result;
    });
  }

  #conditionsOf(sample: EncodedSample): Conditions {
    const { device } = this.#transformer;
    const { text_1LD, mask_1L } = this.#data.embeddings.get(sample.caption) as PromptEmbedding;
    return {
      text_BLD: text_1LD.to({ device }),
      textMask_BL: mask_1L.to({ device }),
      grid: sample.grid,
      videos: sample.reference_1CFHW === undefined ? 1 : 2,
      frameRate: sample.frameRate,
    };
  }

  #noisySample(sample: EncodedSample, step: number): { noised: Noised; sigma: number } {
    const { seed, objective } = this.#plan;
    const { device } = this.#transformer;
    const generator = this.#generator.manualSeed(seedFor("step", seed, step));
    const keepFirstFrame = rand([1], { generator }).item() < objective.firstFrameConditioningP;
    const shift = sigmaShift(sample.grid.tokens, { clamp: objective.clampSigmaShift });
    const sigma_B = drawSigmas(1, shift, generator);
    const noise = randn(sample.latents_1CFHW.shape, { generator, device });
    const { grid } = sample;
    const target = addNoise(sample.latents_1CFHW.to({ device }), noise, sigma_B.to({ device }), {
      grid,
      keepFirstFrame,
    });
    const reference = sample.reference_1CFHW?.to({ device });
    const noised = reference === undefined ? target : prependReference(target, reference, grid);
    return { noised, sigma: sigma_B.item() };
  }
}
