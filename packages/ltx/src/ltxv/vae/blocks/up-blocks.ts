/**
 * The growing half of the VAE decoder, and the middle block that both halves have.
 *
 * An up block unfolds channels into 2x2x2 cells and runs residual blocks on the result. With a decode timestep it has an
 * embedder, which makes one modulation vector for all its residual blocks.
 *
 * Shapes: B batch, C channels, F frames, H W height and width.
 * Source: huggingface/diffusers@58eb52c, `autoencoder_kl_ltx.py` (LTXVideoMidBlock3d, LTXVideoUpBlock3d,
 * LTXVideoUpsampler3d), `models/embeddings.py` (TimestepEmbedding).
 */
import { type DType, Linear, type Parameters, scope, type Tensor } from "@ltx-trainer/torch";
import { timestepSinusoid } from "../../transformer/conditioning.ts";
import { type MidBlockConfig, type UpBlockConfig, upsampleStride } from "../config.ts";
import { CausalConv3d } from "./causal-conv3d.ts";
import { type Conditioning, type NoiseSource, Resnet, type ResnetOptions, runResnets } from "./resnet.ts";

const sinusoidSize = 256;

/** Inputs of each block of the decoder. */
export type BlockInputs = {
  /** Decode timestep of each sample on the model's scale (times 1000). */
  readonly timestep_B?: Tensor | undefined;
  readonly noise?: NoiseSource | undefined;
};

/** `time_embedder`: converts a timestep to a vector of any size. */
export class TimestepEmbedder {
  readonly #linear1: Linear;
  readonly #linear2: Linear;

  constructor(p: Parameters, size: number) {
    const embedder = p.at("timestep_embedder");
    this.#linear1 = new Linear(embedder.at("linear_1"), sinusoidSize, size);
    this.#linear2 = new Linear(embedder.at("linear_2"), size, size);
  }

  /** @param dtype the type of the layers; the sinusoid is computed in float32 and cast to it */
  forward(timestep_B: Tensor, dtype: DType): Tensor {
    return scope(() => {
      const sinusoid = timestepSinusoid(timestep_B).to(dtype);
      return this.#linear2.forward(this.#linear1.forward(sinusoid).silu());
    });
  }
}

function conditioningOf(
  embedder: TimestepEmbedder | undefined,
  inputs: BlockInputs,
  dtype: DType,
): Conditioning {
  const { timestep_B, noise } = inputs;
  if (!embedder) return { noise };
  if (!timestep_B)
    throw new Error("VAE decoder: got no timestep, expected one for a timestep-conditioned VAE");
  return { embedded_Bx: embedder.forward(timestep_B, dtype), noise };
}

/** Resnets of one width: the first block of the decoder and the last of the encoder. */
export class MidBlock {
  readonly #embedder: TimestepEmbedder | undefined;
  readonly #resnets: readonly Resnet[];

  constructor(p: Parameters, config: MidBlockConfig, options: Omit<ResnetOptions, "injectNoise">) {
    const { channels, injectNoise } = config;
    this.#embedder = options.timestepConditioning
      ? new TimestepEmbedder(p.at("time_embedder"), 4 * channels)
      : undefined;
    this.#resnets = Array.from({ length: config.resnets }, (_, i) => {
      return new Resnet(p.at("resnets", i), channels, channels, { ...options, injectNoise });
    });
  }

  forward(x_BCFHW: Tensor, inputs: BlockInputs = {}): Tensor {
    return scope(() =>
      runResnets(this.#resnets, x_BCFHW, conditioningOf(this.#embedder, inputs, x_BCFHW.dtype)),
    );
  }
}

/**
 * Unfolds channels, ordered (channel, time, row, column), into 2x2x2 cells and drops the first frame.
 *
 * `[B,C,F,H,W]` to `[B,C/8,2F-1,2H,2W]`: the first latent frame becomes one frame, every other one two.
 */
export function unfoldCells(x_BCFHW: Tensor): Tensor {
  const [B, C, F, H, W] = x_BCFHW.shape as readonly [number, number, number, number, number];
  const [t, h, w] = upsampleStride;
  const unfolded = x_BCFHW
    .reshape([B, C / (t * h * w), t, h, w, F, H, W])
    .permute([0, 1, 5, 2, 6, 3, 7, 4])
    .reshape([B, C / (t * h * w), F * t, H * h, W * w]);
  return unfolded.narrow(2, t - 1, F * t - (t - 1));
}

/** `upsamplers.0`: twice the height and width, and 2F - 1 frames. */
export class UnfoldingUpsampler {
  readonly #conv: CausalConv3d;
  readonly #residualRepeats: number;

  constructor(p: Parameters, inChannels: number, config: UpBlockConfig, causal: boolean) {
    const cells = upsampleStride[0] * upsampleStride[1] * upsampleStride[2];
    const outChannels = (inChannels * cells) / config.upsampleFactor;
    this.#conv = new CausalConv3d(p.at("conv"), inChannels, outChannels, { causal });
    this.#residualRepeats = config.residual ? cells / config.upsampleFactor : 0;
  }

  forward(x_BCFHW: Tensor): Tensor {
    return scope(() => {
      const enlarged = unfoldCells(this.#conv.forward(x_BCFHW));
      if (this.#residualRepeats === 0) return enlarged;
      return enlarged.add(unfoldCells(x_BCFHW).repeat([1, this.#residualRepeats, 1, 1, 1]));
    });
  }
}

export class UpBlock {
  readonly #convIn: Resnet | undefined;
  readonly #embedder: TimestepEmbedder | undefined;
  readonly #upsampler: UnfoldingUpsampler | undefined;
  readonly #resnets: readonly Resnet[];

  constructor(p: Parameters, config: UpBlockConfig, options: Omit<ResnetOptions, "injectNoise">) {
    const { outChannels, upsampleFactor, injectNoise } = config;
    const inChannels = config.inChannels / upsampleFactor;
    const resnetOptions: ResnetOptions = { ...options, injectNoise };
    if (options.timestepConditioning)
      this.#embedder = new TimestepEmbedder(p.at("time_embedder"), 4 * inChannels);
    if (inChannels !== outChannels)
      this.#convIn = new Resnet(p.at("conv_in"), inChannels, outChannels, resnetOptions);
    if (config.upsample) {
      const place = p.at("upsamplers", 0);
      this.#upsampler = new UnfoldingUpsampler(place, outChannels * upsampleFactor, config, options.causal);
    }
    this.#resnets = Array.from({ length: config.resnets }, (_, i) => {
      return new Resnet(p.at("resnets", i), outChannels, outChannels, resnetOptions);
    });
  }

  forward(x_BCFHW: Tensor, inputs: BlockInputs = {}): Tensor {
    return scope(() => {
      const widened = this.#convIn ? this.#convIn.forward(x_BCFHW) : x_BCFHW;
      const enlarged = this.#upsampler ? this.#upsampler.forward(widened) : widened;
      return runResnets(this.#resnets, enlarged, conditioningOf(this.#embedder, inputs, enlarged.dtype));
    });
  }
}
