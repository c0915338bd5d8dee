/**
 * Moves the pixels of a small square into channels and back: the first step of encoding and the last of decoding.
 *
 * The order inside the channels is (colour, column in the square, row in the square): the column varies slower.
 * The upsamplers and downsamplers inside the VAE use (time, row, column) instead. Do not unify them.
 *
 * Shapes: B batch, C colour channels, f frames, h w pixel height and width, H W height and width in patches,
 * p patch size, P = C * p * p.
 * Source: huggingface/diffusers@58eb52c, `autoencoder_kl_ltx.py` (forward of encoder and decoder).
 */
import type { Tensor } from "@ltx-trainer/torch";

/**
 * Pixels to patches: `[B,C,f,h,w]` to `[B,C*p*p,f,h/p,w/p]`.
 *
 * @throws RangeError when a side is not a multiple of the patch size
 */
export function patchify(pixels_BCfhw: Tensor, patchSize: number): Tensor {
  const [B, C, f, h, w] = pixels_BCfhw.shape as readonly [number, number, number, number, number];
  if (h % patchSize !== 0 || w % patchSize !== 0) {
    throw new RangeError(`patchify: got ${h}x${w} pixels, expected multiples of the patch size ${patchSize}`);
  }
  const H = h / patchSize;
  const W = w / patchSize;
  return pixels_BCfhw
    .reshape([B, C, f, H, patchSize, W, patchSize])
    .permute([0, 1, 6, 4, 2, 3, 5])
    .reshape([B, C * patchSize * patchSize, f, H, W]);
}

/** Patches to pixels, the inverse of `patchify`. */
export function unpatchify(patches_BPfHW: Tensor, patchSize: number): Tensor {
  const [B, P, f, H, W] = patches_BPfHW.shape as readonly [number, number, number, number, number];
  const C = P / (patchSize * patchSize);
  return patches_BPfHW
    .reshape([B, C, patchSize, patchSize, f, H, W])
    .permute([0, 1, 4, 5, 3, 6, 2])
    .reshape([B, C, f, H * patchSize, W * patchSize]);
}
