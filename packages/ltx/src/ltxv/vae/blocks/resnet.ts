/**
 * The residual block of the video VAE, with its normalisation, modulation by the decode timestep and injected noise.
 *
 * norm, modulate, SiLU, conv, noise; the same again; plus the input.
 *
 * Shapes: B batch, C channels, F frames, H W height and width.
 * Source: huggingface/diffusers@58eb52c, `autoencoder_kl_ltx.py` (LTXVideoResnetBlock3d).
 */
import {
  type Generator,
  isHalf,
  LayerNorm,
  type Parameters,
  randn,
  scope,
  type Tensor,
} from "@ltx-trainer/torch";
import { CausalConv3d } from "./causal-conv3d.ts";

const pixelNormEps = 1e-8;

/** Makes injected noise: one image `[H,W]` of the given size, element type and device per call. */
export type NoiseSource = (height: number, width: number, like: Tensor) => Tensor;

/** Standard normal noise from a generator, by default from that of the activations' device. */
export function makeNoiseSource(generator?: Generator): NoiseSource {
  return (height, width, { dtype, device }) => randn([height, width], { generator, dtype, device });
}

/**
 * Divides every pixel by the root mean square of its channels. Has no parameters. Half types are computed in float32.
 *
 * Equals the reference's channels-last RMSNorm, without moving the channels.
 */
export function pixelNorm(x_BCFHW: Tensor): Tensor {
  return scope(() => {
    const wide = isHalf(x_BCFHW.dtype) ? x_BCFHW.to("float32") : x_BCFHW;
    // In its own scope: the squares are as large as the clip and are not needed for the product.
    const scale_B1FHW = scope(() => wide.square().mean(1, true).add(pixelNormEps).rsqrt());
    return wide.mul(scale_B1FHW).to(x_BCFHW.dtype);
  });
}

/**
 * Adds the learned table to a block's embedded timestep and splits it into `rows` modulation tensors `[B,C,1,1,1]`.
 *
 * @param embedded_Bx `[B, rows * C]`
 */
export function modulationRows(embedded_Bx: Tensor, table: Tensor): Tensor[] {
  const [rows, C] = table.shape as readonly [number, number];
  const B = embedded_Bx.size(0);
  const summed = embedded_Bx.reshape([B, rows, C]).add(table.unsqueeze(0));
  return summed.unbind(1).map((row_BC) => row_BC.reshape([B, C, 1, 1, 1]));
}

/** `x * (1 + scale) + shift` */
export function modulate(x_BCFHW: Tensor, scale_BC111: Tensor, shift_BC111: Tensor): Tensor {
  return scope(() => x_BCFHW.mul(scale_BC111.add(1)).add(shift_BC111));
}

export type ResnetOptions = {
  readonly causal: boolean;
  /** Of the shortcut's LayerNorm. The pixel norms have their own. */
  readonly normEps: number;
  readonly injectNoise?: boolean;
  readonly timestepConditioning?: boolean;
};

/** Inputs of the resnets of a decoder block. */
export type Conditioning = {
  /** `[B, 4C]` for a block of width C. Absent if the VAE has no decode timestep. */
  readonly embedded_Bx?: Tensor | undefined;
  readonly noise?: NoiseSource | undefined;
};

export class Resnet {
  readonly #conv1: CausalConv3d;
  readonly #conv2: CausalConv3d;
  readonly #shortcut: { readonly norm: LayerNorm; readonly conv: CausalConv3d } | undefined;
  readonly #noiseScales: readonly [Tensor, Tensor] | undefined;
  readonly #scaleShiftTable: Tensor | undefined;

  constructor(p: Parameters, inChannels: number, outChannels: number, options: ResnetOptions) {
    const { causal } = options;
    this.#conv1 = new CausalConv3d(p.at("conv1"), inChannels, outChannels, { causal });
    this.#conv2 = new CausalConv3d(p.at("conv2"), outChannels, outChannels, { causal });
    if (inChannels !== outChannels) {
      this.#shortcut = {
        norm: new LayerNorm(p.at("norm3"), inChannels, { eps: options.normEps, affine: true }),
        conv: new CausalConv3d(p.at("conv_shortcut"), inChannels, outChannels, { causal, kernel: 1 }),
      };
    }
    if (options.injectNoise) {
      const scale = (name: string): Tensor => p.tensor(name, [inChannels, 1, 1], "zeros");
      this.#noiseScales = [scale("per_channel_scale1"), scale("per_channel_scale2")];
    }
    if (options.timestepConditioning) {
      this.#scaleShiftTable = p.tensor("scale_shift_table", [4, inChannels], { normal: inChannels ** -0.5 });
    }
  }

  forward(x_BCFHW: Tensor, conditioning: Conditioning = {}): Tensor {
    return scope(() => {
      const [shift1, scale1, shift2, scale2] = this.#modulation(conditioning);
      const half = this.#runHalf(
        x_BCFHW,
        this.#conv1,
        [scale1, shift1],
        this.#noiseScales?.[0],
        conditioning,
      );
      const main = this.#runHalf(half, this.#conv2, [scale2, shift2], this.#noiseScales?.[1], conditioning);
      return main.add(this.#applyShortcut(x_BCFHW));
    });
  }

  #runHalf(
    x_BCFHW: Tensor,
    conv: CausalConv3d,
    [scale, shift]: [Tensor | undefined, Tensor | undefined],
    noiseScale: Tensor | undefined,
    conditioning: Conditioning,
  ): Tensor {
    return scope(() => {
      const active = scope(() => {
        const normed = pixelNorm(x_BCFHW);
        return (scale && shift ? modulate(normed, scale, shift) : normed).silu();
      });
      const out = conv.forward(active);
      if (!noiseScale) return out;
      if (!conditioning.noise)
        throw new Error("Resnet: got no noise source, expected one for injected noise");
      const noise_HW = conditioning.noise(out.size(3), out.size(4), out);
      // One noise image for the whole clip: the same in every frame and sample, scaled per channel.
      return out.add(noise_HW.unsqueeze(0).mul(noiseScale).unsqueeze(1).unsqueeze(0));
    });
  }

  #modulation({ embedded_Bx }: Conditioning): (Tensor | undefined)[] {
    if (!this.#scaleShiftTable) return [];
    if (!embedded_Bx) throw new Error("Resnet: got no embedded timestep, expected one for this VAE");
    return modulationRows(embedded_Bx, this.#scaleShiftTable);
  }

  #applyShortcut(x_BCFHW: Tensor): Tensor {
    if (!this.#shortcut) return x_BCFHW;
    const { norm, conv } = this.#shortcut;
    const normed = norm.forward(x_BCFHW.permute([0, 2, 3, 4, 1])).permute([0, 4, 1, 2, 3]);
    return conv.forward(normed);
  }
}

/** Runs residual blocks one after the other and frees the intermediate results. */
export function runResnets(
  resnets: readonly Resnet[],
  x_BCFHW: Tensor,
  conditioning: Conditioning = {},
): Tensor {
  let x = x_BCFHW;
  for (const resnet of resnets) {
    const next = resnet.forward(x, conditioning);
    if (x !== x_BCFHW) x.free();
    x = next;
  }
  return x;
}
