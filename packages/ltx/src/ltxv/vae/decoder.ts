/**
 * The VAE decoder: latents to pixels, and for newer checkpoints the last step of denoising.
 *
 * From 0.9.1 on the decoder is told a decode timestep, the noise level it should assume in the latents (usually
 * 0.05), and 0.9.1 also injects noise of its own between convolutions.
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

/** The parts only a timestep-conditioned decoder has. */
type OutputConditioning = {
  readonly embedder: TimestepEmbedder;
  readonly scaleShiftTable_2C: Tensor;
};

export class VaeDecoder {
  // Readable so that a test, or someone hunting a difference, can run the decoder stage by stage.
  readonly convIn: CausalConv3d;
  readonly midBlock: MidBlock;
  readonly upBlocks: readonly UpBlock[];
  readonly convOut: CausalConv3d;
  /** Whether any block adds noise of its own. */
  readonly injectsNoise: boolean;
  /** 1000, stored in the checkpoint: layers see timesteps on the transformer's scale. A constant, not trained. */
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
   * @param inputs.timestep_B decode timestep of each sample in [0, 1]; needed exactly when the VAE is conditioned
   * @param inputs.noise needed when `injectsNoise`
   */
  forward(
    latents_BCFHW: Tensor,
    inputs: { timestep_B?: Tensor | undefined; noise?: NoiseSource | undefined },
  ): Tensor {
    return scope(() => {
      const timestep_B = this.scaledTimestep(inputs.timestep_B);
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

  /** The timestep as blocks want it, or undefined for a decoder without one. */
  scaledTimestep(timestep_B: Tensor | undefined): Tensor | undefined {
    if (!this.timestepScale) return undefined;
    if (!timestep_B)
      throw new Error("VAE decoder: got no timestep, expected one for a timestep-conditioned VAE");
    return timestep_B.mul(this.timestepScale);
  }

  /** The last stage: norm, modulation by the scaled timestep, convolution, patches to pixels. */
  output(x_BCfHW: Tensor, timestep_B: Tensor | undefined): Tensor {
    return scope(() => {
      const active = scope(() => this.#modulated(pixelNorm(x_BCfHW), timestep_B).silu());
      return unpatchify(this.convOut.forward(active), this.#patchSize);
    });
  }

  #modulated(x_BCfHW: Tensor, timestep_B: Tensor | undefined): Tensor {
    if (!this.#conditioning || !timestep_B) return x_BCfHW;
    const { embedder, scaleShiftTable_2C } = this.#conditioning;
    const rows = modulationRows(embedder.forward(timestep_B, x_BCfHW.dtype), scaleShiftTable_2C);
    const [shift, scale] = rows as [Tensor, Tensor];
    return modulate(x_BCfHW, scale, shift);
  }
}
