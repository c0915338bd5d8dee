/**
 * The conditioning of the blocks: the noise level (as modulation) and the caption (as text tokens).
 *
 * Shapes: B batch, G groups of consecutive tokens that share a timestep, T video tokens, L text tokens,
 * D transformer width.
 * Source: huggingface/diffusers@58eb52c, `models/normalization.py` (AdaLayerNormSingle), `models/embeddings.py`
 * (get_timestep_embedding, TimestepEmbedding, PixArtAlphaTextProjection).
 */
import { cat, type DType, Linear, type Parameters, scope, type Tensor, tensor } from "@ltx-trainer/torch";

const sinusoidSize = 256;

/**
 * `10000^(-k/128)` with the reference's float32 roundings. The exponential is JavaScript's, which is correct to the last
 * bit on every machine. libtorch 1.13's is an ulp off for every tenth k, and t = 1000 turns an ulp into 3e-5.
 */
const sinusoidFrequencies: readonly number[] = Array.from({ length: sinusoidSize / 2 }, (_, k) => {
  const numerator = Math.fround(Math.fround(-Math.log(10_000)) * k);
  return Math.fround(Math.exp(Math.fround(numerator / (sinusoidSize / 2))));
});

/**
 * Cosines, then sines of `t * 10000^(-k/128)`: float32 `[n, 256]`.
 *
 * @param timestep_n any number type, from 0 to 1000; cast to float32 (in bfloat16 993.7 would become 992)
 */
export function timestepSinusoid(timestep_n: Tensor): Tensor {
  return scope(() => {
    const frequencies = tensor([sinusoidFrequencies], { device: timestep_n.device });
    const angles = timestep_n.to("float32").unsqueeze(1).mul(frequencies);
    return cat([angles.cos(), angles.sin()], -1);
  });
}

/** The embedded noise level (for the output layer), and the six modulation rows to which a block adds its own. */
export type EmbeddedTimestep = { readonly modulation_BG6D: Tensor; readonly embedded_BGD: Tensor };

/** `time_embed`: timestep to modulation. */
export class TimeEmbedding {
  readonly #linear1: Linear;
  readonly #linear2: Linear;
  readonly #modulation: Linear;

  constructor(p: Parameters, width: number) {
    const embedder = p.at("emb", "timestep_embedder");
    this.#linear1 = new Linear(embedder.at("linear_1"), sinusoidSize, width);
    this.#linear2 = new Linear(embedder.at("linear_2"), width, width);
    this.#modulation = new Linear(p.at("linear"), width, 6 * width);
  }

  /** @param dtype the type of the layers; the sinusoid is computed in float32 and cast to it */
  forward(timestep_BG: Tensor, dtype: DType): EmbeddedTimestep {
    const [B, G] = timestep_BG.shape as readonly [number, number];
    const sinusoid = timestepSinusoid(timestep_BG.flatten()).to(dtype);
    const embedded = this.#linear2.forward(this.#linear1.forward(sinusoid).silu());
    const modulation = this.#modulation.forward(embedded.silu());
    return {
      modulation_BG6D: modulation.reshape([B, G, 6, -1]),
      embedded_BGD: embedded.reshape([B, G, -1]),
    };
  }
}

/** `caption_projection`: text embeddings to the transformer's width. */
export class CaptionProjection {
  readonly #linear1: Linear;
  readonly #linear2: Linear;

  constructor(p: Parameters, captionChannels: number, width: number) {
    this.#linear1 = new Linear(p.at("linear_1"), captionChannels, width);
    this.#linear2 = new Linear(p.at("linear_2"), width, width);
  }

  forward(text_BLC: Tensor): Tensor {
    return this.#linear2.forward(this.#linear1.forward(text_BLC).gelu("tanh"));
  }
}

/**
 * The text mask as a term added to attention scores, `[B,1,1,L]`: 0 where there is text, -10000 elsewhere.
 *
 * Finite, like the reference's: a fully padded row attends evenly instead of becoming NaN. In bfloat16 the value is
 * -9984.
 *
 * @param mask_BL 1 (or true) for real text tokens
 */
export function textBias(mask_BL: Tensor, dtype: DType): Tensor {
  return scope(() => mask_BL.to(dtype).rsub(1).mul(-10_000).unsqueeze(1).unsqueeze(1));
}

/**
 * Scales and shifts tokens group by group: `x * (1 + scale) + shift`.
 *
 * Each value of a group covers T/G consecutive tokens, so another timestep for a whole frame costs a broadcast, not a
 * `[B,T,6D]` tensor. Multiply and add run as one kernel, which takes a third less time and rounds once less than the
 * reference in bfloat16.
 */
export function modulate(x_BTD: Tensor, scale_BGD: Tensor, shift_BGD: Tensor): Tensor {
  const factor_BGD = scale_BGD.add(1);
  if (isOneGroup(scale_BGD)) return shift_BGD.addcmul(x_BTD, factor_BGD);
  return shift_BGD.unsqueeze(2).addcmul(toGroups(x_BTD, scale_BGD), factor_BGD.unsqueeze(2)).flatten(1, 2);
}

/** Adds a branch, scaled group by group: `x + branch * gate`. */
export function addGated(x_BTD: Tensor, branch_BTD: Tensor, gate_BGD: Tensor): Tensor {
  if (isOneGroup(gate_BGD)) return x_BTD.addcmul(branch_BTD, gate_BGD);
  const branch = toGroups(branch_BTD, gate_BGD);
  return toGroups(x_BTD, gate_BGD).addcmul(branch, gate_BGD.unsqueeze(2)).flatten(1, 2);
}

/** Whether every token has the same value, the usual case: `[B,1,D]` broadcasts by itself. */
function isOneGroup(values_BGD: Tensor): boolean {
  return values_BGD.size(1) === 1;
}

function toGroups(x_BTD: Tensor, values_BGD: Tensor): Tensor {
  return x_BTD.unflatten(1, [values_BGD.size(1), -1]);
}
