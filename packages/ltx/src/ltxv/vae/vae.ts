/**
 * The video VAE: converts pixels to latents and back, and normalises latents to unit scale.
 *
 * `encode` returns and `decode` takes raw latents. The transformer needs normalised ones: `normalize` converts raw latents
 * to those, `denormalize` converts back.
 *
 * Shapes: B batch, C latent channels, F H W latent frames, height, width, f h w pixel frames, height, width.
 * Source: huggingface/diffusers@58eb52c, `autoencoder_kl_ltx.py` (AutoencoderKLLTXVideo), `vae.py`
 * (DiagonalGaussianDistribution), `pipeline_ltx.py` (_normalize_latents).
 */
import {
  type Device,
  type DType,
  type Generator,
  noGrad,
  Parameters,
  randnLike,
  scope,
  type Tensor,
  tensor,
} from "@ltx-trainer/torch";
import type { Posterior, VaeTiling } from "../../family.ts";
import { makeNoiseSource, type NoiseSource } from "./blocks/resnet.ts";
import type { VaeConfig } from "./config.ts";
import { VaeDecoder } from "./decoder.ts";
import { VaeEncoder } from "./encoder.ts";
import { decodeInTiles, encodeInTiles } from "./tiling.ts";

export type EncodeOptions = {
  /** Encode in overlapping tiles to save memory. The result is close to that of the whole clip, not equal. */
  readonly tiling?: VaeTiling | undefined;
};

export type DecodeOptions = {
  /** Decode timestep in [0, 1], one for all or one per sample `[B]`. Default 0. Only for conditioned decoders. */
  readonly timestep?: number | Tensor | undefined;
  /** Draws the noise that some decoders inject (0.9.1). Default: the default generator of the device. */
  readonly generator?: Generator | undefined;
  /** Injects this noise instead. */
  readonly noise?: NoiseSource | undefined;
  /** Decode in overlapping tiles to save memory. The result is close to that of the whole clip, not equal. */
  readonly tiling?: VaeTiling | undefined;
};

export class Vae {
  readonly config: VaeConfig;
  readonly parameters: Parameters;
  readonly encoder: VaeEncoder;
  readonly decoder: VaeDecoder;
  /** Mean of each raw latent channel over the original training data. */
  readonly latentsMean_C: Tensor;
  /** Deviation of each raw latent channel over the original training data. */
  readonly latentsStd_C: Tensor;

  constructor(p: Parameters, config: VaeConfig) {
    this.config = config;
    this.parameters = p;
    this.encoder = new VaeEncoder(p.at("encoder"), config.encoder);
    this.decoder = new VaeDecoder(p.at("decoder"), config.decoder);
    // Buffers of the reference: saved with the weights, never trained.
    this.latentsMean_C = p.tensor("latents_mean", [config.latentChannels], "zeros").requiresGrad_(false);
    this.latentsStd_C = p.tensor("latents_std", [config.latentChannels], "ones").requiresGrad_(false);
  }

  /** A new VAE to train: random weights, identity normalisation. */
  static fresh(config: VaeConfig, options: { generator: Generator; dtype?: DType; device?: Device }): Vae {
    const vae = new Vae(Parameters.random({ ...options, trainable: true }), config);
    noGrad(() => vae.decoder.timestepScale?.fill_(1000));
    return vae;
  }

  get dtype(): DType {
    return this.latentsMean_C.dtype;
  }

  get device(): Device {
    return this.latentsMean_C.device;
  }

  get isTimestepConditioned(): boolean {
    return this.config.timestepConditioning;
  }

  /** Pixels of height or width in one latent cell. */
  get spatialCompression(): number {
    return this.config.spatialCompression;
  }

  /** Frames in one latent frame, except the first. */
  get temporalCompression(): number {
    return this.config.temporalCompression;
  }

  /**
   * The posterior of a clip, in the VAE's element type.
   *
   * @param pixels_BCfhw in [-1, 1]
   * @throws RangeError when frames are not 8k + 1 or a side is not a multiple of 32 (for the released factors)
   */
  encode(pixels_BCfhw: Tensor, options: EncodeOptions = {}): Posterior {
    this.#requirePixels(pixels_BCfhw);
    return scope(() => {
      const pixels = pixels_BCfhw.to({ dtype: this.dtype, device: this.device });
      const { tiling } = options;
      const encode = (part: Tensor): Tensor => this.encoder.forward(part);
      const moments = tiling ? encodeInTiles(pixels, encode, tiling, this.config) : encode(pixels);
      const C = this.config.latentChannels;
      return {
        mean_BCFHW: moments.narrow(1, 0, C),
        logvar_B1FHW: moments.narrow(1, C, 1).clamp(-30, 20),
      };
    });
  }

  /** Raw latents drawn from a posterior: `mean + std * noise`. */
  sample(
    posterior: Posterior,
    source: { readonly generator: Generator } | { readonly noise: Tensor },
  ): Tensor {
    const { mean_BCFHW, logvar_B1FHW } = posterior;
    return scope(() => {
      const noise_BCFHW =
        "noise" in source
          ? source.noise.to({ dtype: mean_BCFHW.dtype, device: mean_BCFHW.device })
          : randnLike(mean_BCFHW, source);
      return mean_BCFHW.add(logvar_B1FHW.mul(0.5).exp().mul(noise_BCFHW));
    });
  }

  /** The most likely raw latents: the mean. */
  mode(posterior: Posterior): Tensor {
    return posterior.mean_BCFHW;
  }

  /** Converts raw latents to the transformer's scale. */
  normalize(latents_BCFHW: Tensor): Tensor {
    return scope(() => {
      const { mean, std } = this.#statistics(latents_BCFHW);
      return latents_BCFHW.sub(mean).mul(this.config.scalingFactor).div(std);
    });
  }

  /** Converts the transformer's latents to raw ones. */
  denormalize(latents_BCFHW: Tensor): Tensor {
    return scope(() => {
      const { mean, std } = this.#statistics(latents_BCFHW);
      return latents_BCFHW.mul(std).div(this.config.scalingFactor).add(mean);
    });
  }

  /**
   * Pixels around [-1, 1], not clamped: `[B,3,f,h,w]` in the VAE's element type.
   *
   * @param latents_BCFHW raw latents, as `denormalize` returns them
   */
  decode(latents_BCFHW: Tensor, options: DecodeOptions = {}): Tensor {
    return scope(() => {
      const latents = latents_BCFHW.to({ dtype: this.dtype, device: this.device });
      const timestep_B = this.#timestepOf(latents, options.timestep ?? 0);
      const noise = options.noise ?? makeNoiseSource(options.generator);
      const decode = (part: Tensor): Tensor => this.decoder.forward(part, { timestep_B, noise });
      return options.tiling ? decodeInTiles(latents, decode, options.tiling, this.config) : decode(latents);
    });
  }

  /** The decode timestep in the latents' type, like the reference's. */
  #timestepOf(latents_BCFHW: Tensor, timestep: number | Tensor): Tensor | undefined {
    if (!this.config.timestepConditioning) return undefined;
    const { dtype, device } = latents_BCFHW;
    const B = latents_BCFHW.size(0);
    if (typeof timestep === "number") return tensor(Array<number>(B).fill(timestep), { dtype, device });
    if (timestep.ndim > 1 || timestep.numel !== B) {
      throw new RangeError(`Vae.decode: got timesteps [${timestep.shape}], expected one number or [${B}]`);
    }
    return timestep.reshape([B]).to({ dtype, device });
  }

  #statistics(latents_BCFHW: Tensor): { mean: Tensor; std: Tensor } {
    const { dtype, device } = latents_BCFHW;
    const shaped = (values_C: Tensor): Tensor => values_C.reshape([1, -1, 1, 1, 1]).to({ dtype, device });
    return { mean: shaped(this.latentsMean_C), std: shaped(this.latentsStd_C) };
  }

  #requirePixels(pixels_BCfhw: Tensor): void {
    const { shape } = pixels_BCfhw;
    const [, , frames, height, width] = shape as readonly [number, number, number, number, number];
    const { spatialCompression: space, temporalCompression: time } = this.config;
    const fits =
      shape.length === 5 && (frames - 1) % time === 0 && height % space === 0 && width % space === 0;
    if (fits) return;
    const expected = `[B, C, ${time}k + 1, multiple of ${space}, multiple of ${space}]`;
    throw new RangeError(`Vae.encode: got pixels [${shape.join(", ")}], expected ${expected}`);
  }
}
