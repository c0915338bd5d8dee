/**
 * Pictures to look at: contact sheets with one row per clip and its frames over time, written as PNG.
 */
import sharp from "sharp";
import { type Clip, toRgb24 } from "../clips/draw.ts";

export type Picture = { readonly width: number; readonly height: number; readonly rgb: Uint8Array };

export async function writePng(path: string, picture: Picture): Promise<void> {
  const { width, height, rgb } = picture;
  await sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path);
}

/** One row per clip, `columns` frames spread evenly over its time, every pixel repeated `zoom` times. */
export function contactSheet(clips: readonly Clip[], columns: number, zoom = 2): Picture {
  const gap = 4;
  const rows = clips.map((clip) => ({
    clip,
    rgb: toRgb24(clip),
    count: Math.min(columns, clip.format.frames),
  }));
  const rowWidth = ({ clip, count }: (typeof rows)[number]): number =>
    count * (zoom * clip.format.width + gap);
  const width = Math.max(...rows.map(rowWidth)) + gap;
  const height = rows.reduce((sum, { clip }) => sum + zoom * clip.format.height + gap, gap);
  const sheet: Picture = { width, height, rgb: new Uint8Array(3 * width * height).fill(40) };
  let top = gap;
  for (const { clip, rgb, count } of rows) {
    for (let column = 0; column < count; column++) {
      const frame = count > 1 ? Math.round((column * (clip.format.frames - 1)) / (count - 1)) : 0;
      copyFrame(sheet, gap + column * (zoom * clip.format.width + gap), top, clip, rgb, frame, zoom);
    }
    top += zoom * clip.format.height + gap;
  }
  return sheet;
}

function copyFrame(
  sheet: Picture,
  left: number,
  top: number,
  clip: Clip,
  rgb: Uint8Array,
  frame: number,
  zoom: number,
): void {
  const { width, height } = clip.format;
  for (let row = 0; row < zoom * height; row++) {
    for (let column = 0; column < zoom * width; column++) {
      const source = 3 * ((frame * height + Math.floor(row / zoom)) * width + Math.floor(column / zoom));
      sheet.rgb.set(rgb.subarray(source, source + 3), 3 * ((top + row) * sheet.width + left + column));
    }
  }
}
