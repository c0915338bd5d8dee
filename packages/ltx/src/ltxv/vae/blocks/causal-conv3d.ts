/**
 * A 3-D convolution that pads time with copies of the edge frames and space with zeros.
 *
 * Causal: the first frame is repeated on the left only, so no frame depends on a later one and a single image is a
 * valid video. Otherwise the first and the last frame are repeated, half on each side.
 *
 * Shapes: B batch, C channels, F frames, H W height and width.
 * Source: huggingface/diffusers@58eb52c, `autoencoder_kl_ltx.py` (LTXVideoCausalConv3d).
 */
import { Conv3d, cat, type Parameters, scope, type Tensor } from "@ltx-trainer/torch";

type Steps = readonly [number, number, number];

export class CausalConv3d {
  readonly #conv: Conv3d;
  readonly #before: number;
  readonly #after: number;

  /** @param p the wrapper's parameters; the released weights are one level below, under `conv` */
  constructor(
    p: Parameters,
    inChannels: number,
    outChannels: number,
    options: { readonly causal: boolean; readonly kernel?: number; readonly stride?: Steps },
  ) {
    const { causal, kernel = 3, stride = [1, 1, 1] } = options;
    const side = Math.floor(kernel / 2);
    this.#before = causal ? kernel - 1 : Math.floor((kernel - 1) / 2);
    this.#after = causal ? 0 : Math.floor((kernel - 1) / 2);
    this.#conv = new Conv3d(p.at("conv"), inChannels, outChannels, {
      kernel: [kernel, kernel, kernel],
      stride: [...stride],
      padding: [0, side, side],
    });
  }

  forward(x_BCFHW: Tensor): Tensor {
    return scope(() => this.#conv.forward(this.#padTime(x_BCFHW)));
  }

  #padTime(x_BCFHW: Tensor): Tensor {
    if (this.#before === 0 && this.#after === 0) return x_BCFHW;
    const first = x_BCFHW.narrow(2, 0, 1);
    const last = x_BCFHW.narrow(2, x_BCFHW.size(2) - 1, 1);
    return cat(
      [...Array<Tensor>(this.#before).fill(first), x_BCFHW, ...Array<Tensor>(this.#after).fill(last)],
      2,
    );
  }
}
