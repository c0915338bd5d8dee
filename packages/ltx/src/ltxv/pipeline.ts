/**
 * The two ends of a sampling: a prompt becomes an embedding, latents become pixels.
 *
 * Shapes: B batch, C channels, F H W latent frames, height, width, f h w pixel frames, height, width, L text tokens,
 * D caption width.
 * Source: huggingface/diffusers@58eb52c, `pipeline_ltx.py` (encode_prompt, the part after the denoising loop).
 */
import { noGrad, scope, type Tensor, tensor } from "@ltx-trainer/torch";
import type { PromptEmbedding } from "../sampling/guidance.ts";
import { drawNoise, type NoiseOptions } from "../sampling/noise.ts";
import type { T5Encoder } from "./t5/encoder.ts";
import type { T5Tokenizer } from "./t5/tokenizer.ts";
import type { VaeTiling } from "./vae/tiling.ts";
import type { Vae } from "./vae/vae.ts";

/**
 * The embedding of one prompt, padded to `maxLength` tokens, in the encoder's type.
 *
 * @param options.maskPadding hide padding from the text encoder. Default false: LTXPipeline and the Lightricks trainer let
 *   it see padding, LTXConditionPipeline and Lightricks' own inference hide it. Train and sample with the same choice.
 */
export function encodePrompt(
  tokenizer: T5Tokenizer,
  encoder: T5Encoder,
  text: string,
  maxLength: number,
  options: { maskPadding?: boolean } = {},
): PromptEmbedding {
  return noGrad(() =>
    scope(() => {
      const { ids, mask } = tokenizer.encode(text, maxLength);
      const ids_1L = tensor([ids], { dtype: "int64", device: encoder.device });
      const mask_1L = tensor([mask], { dtype: "int64", device: encoder.device });
      const text_1LD = encoder.forward(ids_1L, options.maskPadding === true ? mask_1L : undefined);
      return { text_1LD, mask_1L };
    }),
  );
}

export type DecodeVideoOptions = NoiseOptions & {
  /** What a timestep-conditioned decoder is told, 0 to 1. Released models since 0.9.1 like 0.05. Default 0. */
  readonly decodeTimestep?: number;
  /** How much noise is mixed into the latents first. Default: the decode timestep. */
  readonly decodeNoiseScale?: number;
  /** Decode in overlapping tiles, to save memory; the result is close to the whole clip's, not equal. */
  readonly tiling?: VaeTiling | undefined;
};

/**
 * Pixels `[B,3,f,h,w]` in about [-1, 1], not clamped, of normalised latents.
 *
 * A timestep-conditioned decoder draws noise even at scale 0, as the reference does.
 *
 * @throws RangeError when such a decoder gets nothing to draw noise from
 */
export function decodeVideo(vae: Vae, latents_BCFHW: Tensor, options: DecodeVideoOptions = {}): Tensor {
  return noGrad(() =>
    scope(() => {
      const latents = vae.denormalize(latents_BCFHW).to({ dtype: vae.dtype, device: vae.device });
      const { generator, tiling, decodeTimestep = 0, decodeNoiseScale = decodeTimestep } = options;
      if (!vae.config.timestepConditioning) return vae.decode(latents, { generator, tiling });
      const noise = drawNoise(options, latents.shape, latents);
      const scale = tensor(decodeNoiseScale, { dtype: vae.dtype, device: vae.device });
      const noised = scale.rsub(1).mul(latents).add(scale.mul(noise));
      return vae.decode(noised, { timestep: decodeTimestep, generator, tiling });
    }),
  );
}
