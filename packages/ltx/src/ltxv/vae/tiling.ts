/**
 * Encoding and decoding in overlapping tiles, so that a long or large clip fits into memory.
 *
 * Tiles are cut in space and, optionally, in time. Neighbours overlap and are blended with linear ramps. A tile has no
 * context outside itself, so the result is close to the undivided one but not equal. Encode latents for training without
 * tiles whenever memory allows.
 *
 * Nothing is written in place. A tile is blended with neighbours that are already blended, as in the reference.
 *
 * Shapes: B batch, C channels, F H W frames, height and width of either side (pixels or latents).
 * Source: huggingface/diffusers@58eb52c, `autoencoder_kl_ltx.py` (tiled_encode, tiled_decode, _temporal_tiled_*).
 * Deliberate difference: in decoding, every temporal tile but the first drops its first frame, which is decoded alone like
 * the first frame of a clip. The reference drops the last frame, so its later tiles are one frame late.
 */
import { arange, cat, scope, type Tensor } from "@ltx-trainer/torch";
import type { VaeTiling } from "../../family.ts";

/** The reference's sizes: 512 pixels every 448, 16 + 1 frames every 8. */
export const ltxvTiling: VaeTiling = Object.freeze({
  space: { tile: 512, stride: 448 },
  time: { tile: 16, stride: 8 },
});

type Compression = { readonly spatialCompression: number; readonly temporalCompression: number };
type Piece = (part: Tensor) => Tensor;
/** Tile and stride of the input, which is cut, and of the output, which is joined. */
type Cut = {
  readonly tile: number;
  readonly stride: number;
  readonly outTile: number;
  readonly outStride: number;
};

const time = 2;
const height = 3;
const width = 4;

/** Encodes a clip to its moments. @throws RangeError for tile sizes that do not fit the compression */
export function encodeInTiles(
  pixels: Tensor,
  encode: Piece,
  tiling: VaeTiling,
  compression: Compression,
): Tensor {
  const { spatialCompression, temporalCompression } = compression;
  const space = tiling.space && cutOf("space", tiling.space, spatialCompression);
  const frames = tiling.time && cutOf("time", tiling.time, temporalCompression);
  const inSpace: Piece = (part) => (space ? tileSpace(part, encode, space) : encode(part));
  return frames ? tileTime(pixels, inSpace, frames) : inSpace(pixels);
}

/** Decodes latents to pixels. @throws RangeError for tile sizes that do not fit the compression */
export function decodeInTiles(
  latents: Tensor,
  decode: Piece,
  tiling: VaeTiling,
  compression: Compression,
): Tensor {
  const { spatialCompression, temporalCompression } = compression;
  const space = tiling.space && invertCut(cutOf("space", tiling.space, spatialCompression));
  const frames = tiling.time && invertCut(cutOf("time", tiling.time, temporalCompression));
  const inSpace: Piece = (part) => (space ? tileSpace(part, decode, space) : decode(part));
  return frames ? tileTime(latents, inSpace, frames) : inSpace(latents);
}

/** Sizes for encoding: cut in pixels, joined in latents. */
function cutOf(name: string, sizes: { tile: number; stride: number }, factor: number): Cut {
  const { tile, stride } = sizes;
  const fits = [tile, stride].every(
    (size) => Number.isInteger(size) && size >= factor && size % factor === 0,
  );
  if (!fits || stride > tile) {
    const expected = `multiples of ${factor} with a stride not above the tile`;
    throw new RangeError(`tiling.${name}: got tile ${tile}, stride ${stride}, expected ${expected}`);
  }
  return { tile, stride, outTile: tile / factor, outStride: stride / factor };
}

const invertCut = ({ tile, stride, outTile, outStride }: Cut): Cut => ({
  tile: outTile,
  stride: outStride,
  outTile: tile,
  outStride: stride,
});

function tileSpace(x: Tensor, run: Piece, cut: Cut): Tensor {
  const [rows, columns] = [x.size(height), x.size(width)];
  if (rows <= cut.tile && columns <= cut.tile) return run(x);
  const overlap = cut.outTile - cut.outStride;
  return scope(() => {
    let above: Tensor[] = [];
    const bands: Tensor[] = [];
    for (const top of starts(rows, cut.stride)) {
      const band: Tensor[] = [];
      for (const [j, left] of starts(columns, cut.stride).entries()) {
        band.push(
          scope(() => {
            const tile = run(clip(clip(x, height, top, cut.tile), width, left, cut.tile));
            const joinedAbove = above[j] ? blend(above[j], tile, height, overlap) : tile;
            return band[j - 1] ? blend(band[j - 1]!, joinedAbove, width, overlap) : joinedAbove;
          }),
        );
      }
      const cropped = band.map((tile) => clip(clip(tile, height, 0, cut.outStride), width, 0, cut.outStride));
      bands.push(cat(cropped, width));
      for (const tile of above) tile.free();
      above = band;
    }
    return cat(bands, height);
  });
}

/** In time a tile has one more frame than its length, because its first frame is coded alone. */
function tileTime(x: Tensor, run: Piece, cut: Cut): Tensor {
  const frames = x.size(time);
  if (frames <= cut.tile + 1) return run(x);
  return scope(() => {
    let before: Tensor | undefined;
    const parts: Tensor[] = [];
    for (const start of starts(frames - 1, cut.stride)) {
      const tile = scope(() => {
        const whole = run(clip(x, time, start, cut.tile + 1));
        if (!before) return whole;
        return blend(before, clip(whole, time, 1, whole.size(time) - 1), time, cut.outTile - cut.outStride);
      });
      // A copy: a view would keep the memory of the whole tile until the end.
      parts.push(clip(tile, time, 0, before ? cut.outStride : cut.outStride + 1).contiguous());
      before?.free();
      before = tile;
    }
    return cat(parts, time);
  });
}

const starts = (length: number, stride: number): number[] => {
  return Array.from({ length: Math.ceil(length / stride) }, (_, i) => i * stride);
};

/** Up to `length` entries of an axis. */
const clip = (x: Tensor, axis: number, start: number, length: number): Tensor => {
  return x.narrow(axis, start, Math.min(length, x.size(axis) - start));
};

/** `next` with its first entries along an axis faded in from the last entries of `previous`. */
function blend(previous: Tensor, next: Tensor, axis: number, overlap: number): Tensor {
  const length = Math.min(previous.size(axis), next.size(axis), overlap);
  if (length === 0) return next;
  return scope(() => {
    const shape = next.shape.map((_, i) => (i === axis ? length : 1));
    const weight = arange(0, length, 1, { dtype: next.dtype, device: next.device })
      .div(length)
      .reshape(shape);
    const tail = previous.narrow(axis, previous.size(axis) - length, length);
    const mixed = tail.mul(weight.rsub(1)).add(next.narrow(axis, 0, length).mul(weight));
    const rest = next.narrow(axis, length, next.size(axis) - length);
    return cat([mixed, rest], axis);
  });
}
