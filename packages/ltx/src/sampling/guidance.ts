/**
 * The velocity a sampler follows: the caption's prediction, pushed away from the negative prompt's.
 *
 * Shapes: B batch (of videos), T video tokens, C latent channels, L text tokens, D caption width, G timestep groups.
 * Source: huggingface/diffusers@58eb52c, `pipeline_ltx.py` (denoising loop, rescale_noise_cfg). Always in float32, as
 * LTXPipeline does; LTXConditionPipeline combines in the model's type.
 */
import { cat, scope, type Tensor } from "@ltx-trainer/torch";
import type { PromptEmbedding, VelocityInputs, VideoTransformer } from "../family.ts";

export type GuidanceOptions<Inputs extends VelocityInputs = VelocityInputs> = {
  readonly transformer: VideoTransformer<Inputs>;
  readonly positive: PromptEmbedding;
  /** Needed when `guidance` is above 1. */
  readonly negative?: PromptEmbedding | undefined;
  /** How far to go from the negative prediction: 1 follows the caption alone. */
  readonly guidance: number;
  /** 0 to 1: how much of the guided prediction's spread is brought back to the caption's. Default 0. */
  readonly guidanceRescale?: number | undefined;
};

/** All that stays the same from step to step: where the tokens are. */
type Place<Inputs extends VelocityInputs> = Omit<
  Inputs,
  "tokens_BTC" | "timestep_BT" | "text_BLD" | "textMask_BL"
>;

/** Predicts velocities for one sampling. Holds the joined embeddings: use it inside the scope that made it. */
export class GuidedModel<Inputs extends VelocityInputs = VelocityInputs> {
  readonly #options: GuidanceOptions<Inputs>;
  readonly #text_BLD: Tensor;
  readonly #mask_BL: Tensor;
  readonly #place: Place<Inputs>;

  /** @throws RangeError when guidance is asked for without a negative prompt */
  constructor(options: GuidanceOptions<Inputs>, place: Place<Inputs>) {
    if (options.guidance > 1 && options.negative === undefined) {
      throw new RangeError(
        `guidance: got ${options.guidance} without a negative prompt. Give one ("" is common), or 1`,
      );
    }
    const { text_1LD, mask_1L } = options.positive;
    const unguided = options.guidance > 1 ? options.negative : undefined;
    this.#options = options;
    this.#place = place;
    this.#text_BLD = unguided === undefined ? text_1LD : cat([unguided.text_1LD, text_1LD], 0);
    this.#mask_BL = unguided === undefined ? mask_1L : cat([unguided.mask_1L, mask_1L], 0);
  }

  /** float32 velocity of `tokens_BTC`; both predictions run as one batch. */
  velocity(tokens_BTC: Tensor, timestep_BG: Tensor): Tensor {
    return scope(() => {
      const { transformer, guidance, guidanceRescale = 0 } = this.#options;
      const isGuided = guidance > 1;
      const inputs = {
        ...this.#place,
        tokens_BTC: isGuided ? cat([tokens_BTC, tokens_BTC], 0) : tokens_BTC,
        timestep_BT: isGuided ? cat([timestep_BG, timestep_BG], 0) : timestep_BG,
        text_BLD: this.#text_BLD,
        textMask_BL: this.#mask_BL,
      } as unknown as Inputs;
      const output_BTC = transformer.forward(inputs).to("float32");
      if (!isGuided) return output_BTC;
      const [without_BTC, with_BTC] = output_BTC.chunk(2, 0) as [Tensor, Tensor];
      return guide({ without_BTC, with_BTC }, guidance, guidanceRescale);
    });
  }
}

/**
 * The guided velocity: from the prediction without the caption, `guidance` times the way to the one with it.
 *
 * @param rescale how much of the spread (standard deviation per video, unbiased) is brought back to the caption's
 */
export function guide(
  predictions: { readonly without_BTC: Tensor; readonly with_BTC: Tensor },
  guidance: number,
  rescale = 0,
): Tensor {
  const { without_BTC, with_BTC } = predictions;
  return scope(() => {
    const guided_BTC = without_BTC.add(with_BTC.sub(without_BTC).mul(guidance));
    if (!(rescale > 0)) return guided_BTC;
    const options = { unbiased: true, keepdim: true };
    const ratio_B11 = with_BTC.std([1, 2], options).div(guided_BTC.std([1, 2], options));
    return guided_BTC
      .mul(ratio_B11)
      .mul(rescale)
      .add(guided_BTC.mul(1 - rescale));
  });
}
