/**
 * From latents to pixels.
 *
 * Shapes: B batch, C channels, F H W latent frames, height, width, f h w pixel frames, height, width.
 * Source: huggingface/diffusers@58eb52c, `pipeline_ltx.py` (the part after the denoising loop).
 */
import { noGrad, scope, type Tensor, tensor } from "@ltx-trainer/torch";
import type { VaeTiling, VideoVae } from "../family.ts";
import { drawNoise, type NoiseOptions } from "./noise.ts";

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
export function decodeVideo(vae: VideoVae, latents_BCFHW: Tensor, options: DecodeVideoOptions = {}): Tensor {
  return noGrad(() =>
    scope(() => {
      const latents = vae.denormalize(latents_BCFHW).to({ dtype: vae.dtype, device: vae.device });
      const { generator, tiling, decodeTimestep = 0, decodeNoiseScale = decodeTimestep } = options;
      if (!vae.isTimestepConditioned) return vae.decode(latents, { generator, tiling });
      const noise = drawNoise(options, latents.shape, latents);
      const scale = tensor(decodeNoiseScale, { dtype: vae.dtype, device: vae.device });
      const noised = scale.rsub(1).mul(latents).add(scale.mul(noise));
      return vae.decode(noised, { timestep: decodeTimestep, generator, tiling });
    }),
  );
}
