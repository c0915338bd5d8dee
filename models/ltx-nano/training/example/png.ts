/**
 * Pictures to look at: an 8-bit RGB PNG writer, and contact sheets (one row per clip, frames over time).
 *
 * Source: PNG specification (W3C, third edition), sections 5, 9 and 11; zlib does the compression.
 */
import { writeFileSync } from "node:fs";
import { deflateSync } from "node:zlib";
import { type Clip, toRgb24 } from "../clips/draw.ts";

export type Picture = { readonly width: number; readonly height: number; readonly rgb: Uint8Array };

const crcTable = new Uint32Array(256).map((_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

/** CRC-32 as PNG and zip use it. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = crcTable[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

export function encodePng(picture: Picture): Buffer {
  const { width, height, rgb } = picture;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits, RGB, deflate, adaptive filter, no interlace
  const scanlines = Buffer.alloc((3 * width + 1) * height);
  for (let row = 0; row < height; row++) {
    // The first byte of a scanline is its filter; 0 leaves it as it is.
    scanlines.set(rgb.subarray(row * 3 * width, (row + 1) * 3 * width), row * (3 * width + 1) + 1);
  }
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const end = new Uint8Array(0);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(scanlines)),
    chunk("IEND", end),
  ]);
}

export function writePng(path: string, picture: Picture): void {
  writeFileSync(path, encodePng(picture));
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
