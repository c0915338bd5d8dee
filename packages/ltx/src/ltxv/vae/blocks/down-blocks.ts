/**
 * The shrinking half of the VAE encoder: runs of residual blocks, each followed by a downsampler.
 *
 * Two kinds were released. 0.9.0 and 0.9.1 use a strided convolution and widen with one more residual block. 0.9.5 and
 * later fold neighbouring cells into channels. Their shortcut is the folded input, averaged over channel groups.
 *
 * Shapes: B batch, C channels, F frames, H W height and width.
 * Source: huggingface/diffusers@58eb52c, `autoencoder_kl_ltx.py` (LTXVideoDownBlock3D, LTXVideo095DownBlock3D,
 * LTXVideoDownsampler3d).
 */
import { cat, type Parameters, scope, type Tensor } from "@ltx-trainer/torch";
import { type DownBlockConfig, downsampleStride } from "../config.ts";
import { CausalConv3d } from "./causal-conv3d.ts";
import { Resnet, runResnets } from "./resnet.ts";

type Steps = readonly [number, number, number];

/**
 * Folds cells of `stride` (time, height, width) into channels, ordered (channel, time, row, column).
 *
 * `[B,C,F,H,W]` to `[B,C*t*h*w,F/t,H/h,W/w]`.
 */
export function foldCells(x_BCFHW: Tensor, [t, h, w]: Steps): Tensor {
  const [B, C, F, H, W] = x_BCFHW.shape as readonly [number, number, number, number, number];
  return x_BCFHW
    .reshape([B, C, F / t, t, H / h, h, W / w, w])
    .permute([0, 1, 3, 5, 7, 2, 4, 6])
    .reshape([B, C * t * h * w, F / t, H / h, W / w]);
}

/** Halves the axes of its stride by folding; `downsamplers.0` of 0.9.5 and later. */
export class FoldingDownsampler {
  readonly #conv: CausalConv3d;
  readonly #stride: Steps;
  readonly #groupSize: number;

  constructor(p: Parameters, inChannels: number, outChannels: number, stride: Steps, causal: boolean) {
    const cells = stride[0] * stride[1] * stride[2];
    this.#stride = stride;
    this.#groupSize = (inChannels * cells) / outChannels;
    this.#conv = new CausalConv3d(p.at("conv"), inChannels, outChannels / cells, { causal });
  }

  forward(x_BCFHW: Tensor): Tensor {
    return scope(() => {
      // Repeats the first frame, so that 8k + 1 frames become 8k + 2, an even number.
      const extra = this.#stride[0] - 1;
      const even = extra > 0 ? cat([x_BCFHW.narrow(2, 0, extra), x_BCFHW], 2) : x_BCFHW;
      const folded = foldCells(this.#conv.forward(even), this.#stride);
      const shortcut = foldCells(even, this.#stride).unflatten(1, [-1, this.#groupSize]).mean(2);
      return folded.add(shortcut);
    });
  }
}

export class DownBlock {
  readonly #resnets: readonly Resnet[];
  readonly #downsampler: CausalConv3d | FoldingDownsampler | undefined;
  readonly #convOut: Resnet | undefined;

  constructor(p: Parameters, config: DownBlockConfig, options: { causal: boolean; normEps: number }) {
    const { inChannels, outChannels, downsample } = config;
    const { causal } = options;
    this.#resnets = Array.from({ length: config.resnets }, (_, i) => {
      return new Resnet(p.at("resnets", i), inChannels, inChannels, options);
    });
    const place = p.at("downsamplers", 0);
    const stride = downsampleStride[downsample];
    const folds = downsample !== "none" && downsample !== "conv";
    if (downsample === "conv")
      this.#downsampler = new CausalConv3d(place, inChannels, inChannels, { causal, stride });
    if (folds) this.#downsampler = new FoldingDownsampler(place, inChannels, outChannels, stride, causal);
    if (!folds && inChannels !== outChannels) {
      this.#convOut = new Resnet(p.at("conv_out"), inChannels, outChannels, options);
    }
  }

  forward(x_BCFHW: Tensor): Tensor {
    return scope(() => {
      const refined = runResnets(this.#resnets, x_BCFHW);
      const smaller = this.#downsampler ? this.#downsampler.forward(refined) : refined;
      return this.#convOut ? this.#convOut.forward(smaller) : smaller;
    });
  }
}
