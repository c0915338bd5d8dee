/**
 * Drawn clips as tensors.
 *
 * Shapes: B batch, C colour channels, f h w pixel frames, height, width.
 */
import { type Tensor, tensor } from "@ltx-trainer/torch";
import type { Clip } from "../clips/draw.ts";
import type { ClipFormat } from "../clips/scene.ts";

/** Clips of one format as pixels in [-1, 1]. @throws RangeError when sizes differ */
export function toPixels(clips: readonly Clip[]): Tensor {
  const { width, height, frames } = clips[0]!.format;
  const size = 3 * frames * height * width;
  const values = new Float32Array(clips.length * size);
  for (const [index, clip] of clips.entries()) {
    if (clip.pixels.length !== size) {
      throw new RangeError(`toPixels: clip ${index} has ${clip.pixels.length} values, expected ${size}`);
    }
    values.set(clip.pixels, index * size);
  }
  return tensor(values).reshape([clips.length, 3, frames, height, width]).mul(2).sub(1);
}

/** Pixels in [-1, 1] back as clips to look at. */
export function toClips(pixels_BCfhw: Tensor, format: Pick<ClipFormat, "fps">): Clip[] {
  const [, , frames, height, width] = pixels_BCfhw.shape as [number, number, number, number, number];
  return pixels_BCfhw.unbind(0).map((pixels_Cfhw) => ({
    format: { width, height, frames, fps: format.fps },
    pixels: pixels_Cfhw.add(1).mul(0.5).toFloat32Array(),
  }));
}
