/**
 * The VAE encoder: converts pixels to the mean and log-variance of each latent cell.
 *
 * Patches, a convolution, down blocks, a middle block, then a convolution to C means and one log-variance that all
 * channels share.
 *
 * Shapes: B batch, C latent channels, f h w pixel frames, height, width, F H W latent frames, height, width.
 * Source: huggingface/diffusers@58eb52c, `autoencoder_kl_ltx.py` (LTXVideoEncoder3d).
 */
import { type Parameters, scope, type Tensor } from "@ltx-trainer/torch";
import { CausalConv3d } from "./blocks/causal-conv3d.ts";
import { DownBlock } from "./blocks/down-blocks.ts";
import { pixelNorm } from "./blocks/resnet.ts";
import { MidBlock } from "./blocks/up-blocks.ts";
import type { VaeEncoderConfig } from "./config.ts";
import { patchify } from "./patchify.ts";

export class VaeEncoder {
  // Public, so that tests and debugging can run the encoder stage by stage.
  readonly convIn: CausalConv3d;
  readonly downBlocks: readonly DownBlock[];
  readonly midBlock: MidBlock;
  readonly convOut: CausalConv3d;
  readonly #patchSize: number;

  constructor(p: Parameters, config: VaeEncoderConfig) {
    const { causal, normEps, blocks, mid } = config;
    this.#patchSize = config.patchSize;
    const patchChannels = config.inChannels * config.patchSize ** 2;
    this.convIn = new CausalConv3d(p.at("conv_in"), patchChannels, blocks[0]!.inChannels, { causal });
    this.downBlocks = blocks.map(
      (block, i) => new DownBlock(p.at("down_blocks", i), block, { causal, normEps }),
    );
    this.midBlock = new MidBlock(p.at("mid_block"), mid, { causal, normEps });
    this.convOut = new CausalConv3d(p.at("conv_out"), mid.channels, config.latentChannels + 1, { causal });
  }

  /** `[B,3,f,h,w]` in [-1, 1] to `[B,C+1,F,H,W]`: the means, then the log-variance. */
  forward(pixels_BCfhw: Tensor): Tensor {
    return scope(() => {
      let x = this.convIn.forward(patchify(pixels_BCfhw, this.#patchSize));
      for (const block of [...this.downBlocks, this.midBlock]) {
        const next = block.forward(x);
        x.free();
        x = next;
      }
      return this.convOut.forward(pixelNorm(x).silu());
    });
  }
}
