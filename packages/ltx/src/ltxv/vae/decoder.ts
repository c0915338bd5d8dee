/**
 * The VAE decoder: converts latents to pixels. For newer checkpoints it is the last denoising step too.
 *
 * Since 0.9.1 the decoder takes a decode timestep, the noise level to assume in the latents (usually 0.05). 0.9.1 also
 * injects noise between convolutions.
 *
 * Shapes: B batch, C channels, F H W latent frames, height, width, f h w pixel frames, height, width.
 * Source: huggingface/diffusers@58eb52c, `autoencoder_kl_ltx.py` (LTXVideoDecoder3d).
 */
import { type Parameters, scope, type Tensor } from "@ltx-trainer/torch";
import { CausalConv3d } from "./blocks/causal-conv3d.ts";
import { modulate, modulationRows, type NoiseSource, pixelNorm } from "./blocks/resnet.ts";
import { MidBlock, TimestepEmbedder, UpBlock } from "./blocks/up-blocks.ts";
import type { VaeDecoderConfig } from "./config.ts";
import { unpatchify } from "./patchify.ts";

/** The parts that only a timestep-conditioned decoder has. */
type OutputConditioning = {
  readonly embedder: TimestepEmbedder;
  readonly scaleShiftTable_2C: Tensor;
};

export class VaeDecoder {
  // Public, so that tests and debugging can run the decoder stage by stage.
  readonly convIn: CausalConv3d;
  readonly midBlock: MidBlock;
  readonly upBlocks: readonly UpBlock[];
  readonly convOut: CausalConv3d;
  /** Whether any block injects noise. */
  readonly injectsNoise: boolean;
  /** 1000, stored in the checkpoint: scales timesteps to the transformer's range. A constant, not trained. */
  readonly timestepScale: Tensor | undefined;
  readonly #patchSize: number;
  readonly #conditioning: OutputConditioning | undefined;

  constructor(p: Parameters, config: VaeDecoderConfig) {
    const { causal, normEps, timestepConditioning, blocks, mid } = config;
    const options = { causal, normEps, timestepConditioning };
    const width = blocks.at(-1)!.outChannels;
    this.#patchSize = config.patchSize;
    this.injectsNoise = mid.injectNoise || blocks.some((block) => block.injectNoise);
    this.convIn = new CausalConv3d(p.at("conv_in"), config.latentChannels, mid.channels, { causal });
    this.midBlock = new MidBlock(p.at("mid_block"), mid, options);
    this.upBlocks = blocks.map((block, i) => new UpBlock(p.at("up_blocks", i), block, options));
    this.convOut = new CausalConv3d(p.at("conv_out"), width, config.outChannels * config.patchSize ** 2, {
      causal,
    });
    if (!timestepConditioning) return;
    this.#conditioning = {
      embedder: new TimestepEmbedder(p.at("time_embedder"), 2 * width),
      scaleShiftTable_2C: p.tensor("scale_shift_table", [2, width], { normal: width ** -0.5 }),
    };
    this.timestepScale = p.tensor("timestep_scale_multiplier", [], "ones").requiresGrad_(false);
  }

  /**
   * `[B,C,F,H,W]` latents (denormalised) to `[B,3,f,h,w]` pixels around [-1, 1], not clamped.
   *
   * @param inputs.timestep_B decode timestep of each sample in [0, 1]; required if the VAE is timestep-conditioned
   * @param inputs.noise required if `injectsNoise`
   */
  forward(
    latents_BCFHW: Tensor,
    inputs: { timestep_B?: Tensor | undefined; noise?: NoiseSource | undefined },
  ): Tensor {
    return scope(() => {
      const timestep_B = this.scaleTimestep(inputs.timestep_B);
      const blockInputs = { timestep_B, noise: inputs.noise };
      let x = this.convIn.forward(latents_BCFHW);
      for (const block of [this.midBlock, ...this.upBlocks]) {
        const next = block.forward(x, blockInputs);
        x.free();
        x = next;
      }
      return this.output(x, timestep_B);
    });
  }

  /** The timestep on the scale of the blocks, or undefined for a decoder without one. */
  scaleTimestep(timestep_B: Tensor | undefined): Tensor | undefined {
    if (!this.timestepScale) return undefined;
    if (!timestep_B)
      throw new Error("VAE decoder: got no timestep, expected one for a timestep-conditioned VAE");
    return timestep_B.mul(this.timestepScale);
  }

  /** The last stage: norm, modulation by the scaled timestep, convolution, patches to pixels. */
  output(x_BCfHW: Tensor, timestep_B: Tensor | undefined): Tensor {
    return scope(() => {
      const active = scope(() => this.#modulate(pixelNorm(x_BCfHW), timestep_B).silu());
      return unpatchify(this.convOut.forward(active), this.#patchSize);
    });
  }

  #modulate(x_BCfHW: Tensor, timestep_B: Tensor | undefined): Tensor {
    if (!this.#conditioning || !timestep_B) return x_BCfHW;
    const { embedder, scaleShiftTable_2C } = this.#conditioning;
    const rows = modulationRows(embedder.forward(timestep_B, x_BCfHW.dtype), scaleShiftTable_2C);
    const [shift, scale] = rows as [Tensor, Tensor];
    return modulate(x_BCfHW, scale, shift);
  }
}
