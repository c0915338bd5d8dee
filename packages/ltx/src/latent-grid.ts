/**
 * Converts between pixels, latents and tokens. No other file does.
 *
 * With a temporal compression of 8, a video of `8k + 1` frames becomes `k + 1`
 * latent frames, because the first frame is encoded alone. Tokens are one per latent cell, ordered by frame, then row, then column.
 *
 * Shapes: B batch, C latent channels, F H W latent frames, height, width, T video tokens (F * H * W).
 * Source: huggingface/diffusers@58eb52c, `pipeline_ltx.py` (`_pack_latents`, `_unpack_latents`).
 */
import type { Tensor } from "@ltx-trainer/torch";

/** How many pixels (frames in time, pixels in space) one latent cell covers. */
export type Compression = { readonly temporal: number; readonly spatial: number };

/** The latent cells of one video, and the factors to convert them back to pixels. */
export type LatentGrid = {
  readonly F: number;
  readonly H: number;
  readonly W: number;
  readonly tokens: number;
  readonly compression: Compression;
};

/**
 * The latent grid of a video with a given size in pixels.
 *
 * @throws RangeError when frames are not `temporal * k + 1` or a side is not a multiple of `spatial`
 */
export function latentGrid(
  video: { readonly frames: number; readonly height: number; readonly width: number },
  compression: Compression,
): LatentGrid {
  const { temporal, spatial } = compression;
  if (!Number.isInteger(video.frames) || video.frames < 1 || (video.frames - 1) % temporal !== 0) {
    throw new RangeError(`frames: got ${video.frames}, expected ${temporal}k + 1 (1, ${temporal + 1}, ...)`);
  }
  for (const side of ["height", "width"] as const) {
    if (!Number.isInteger(video[side]) || video[side] < spatial || video[side] % spatial !== 0) {
      throw new RangeError(`${side}: got ${video[side]}, expected a multiple of ${spatial}`);
    }
  }
  return gridOf(
    { F: (video.frames - 1) / temporal + 1, H: video.height / spatial, W: video.width / spatial },
    compression,
  );
}

/** The grid of latents with a given size in cells. */
export function gridOf(
  cells: { readonly F: number; readonly H: number; readonly W: number },
  compression: Compression,
): LatentGrid {
  const { F, H, W } = cells;
  return { F, H, W, tokens: F * H * W, compression };
}

/** The size in pixels of the video that a grid decodes to. */
export function pixelSize(grid: LatentGrid): { frames: number; height: number; width: number } {
  const { temporal, spatial } = grid.compression;
  return { frames: (grid.F - 1) * temporal + 1, height: grid.H * spatial, width: grid.W * spatial };
}

/**
 * The largest frame count of the form `temporal * k + 1` that is not above `frames`.
 *
 * @throws RangeError for less than one frame
 */
export function snapFrames(frames: number, temporal: number): number {
  if (!(frames >= 1)) throw new RangeError(`frames: got ${frames}, expected at least 1`);
  return Math.floor((Math.floor(frames) - 1) / temporal) * temporal + 1;
}

/** Latents to a sequence of tokens: `[B,C,F,H,W]` to `[B,T,C]`. */
export function packLatents(latents_BCFHW: Tensor): Tensor {
  return latents_BCFHW.flatten(2, 4).transpose(1, 2).contiguous();
}

/**
 * Tokens back to latents: `[B,T,C]` to `[B,C,F,H,W]`.
 *
 * @throws RangeError when the number of tokens is not the number of cells
 */
export function unpackLatents(
  tokens_BTC: Tensor,
  grid: { readonly F: number; readonly H: number; readonly W: number },
): Tensor {
  const { F, H, W } = grid;
  if (tokens_BTC.ndim !== 3 || tokens_BTC.size(1) !== F * H * W) {
    const shape = `[${tokens_BTC.shape.join(",")}]`;
    throw new RangeError(
      `unpackLatents: got ${shape}, expected [B, ${F * H * W}, C] for ${F}x${H}x${W} cells`,
    );
  }
  return tokens_BTC.transpose(1, 2).unflatten(2, [F, H, W]).contiguous();
}
