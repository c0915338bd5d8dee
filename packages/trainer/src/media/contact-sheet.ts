/**
 * One picture that shows what was learnt: a row per prompt, frames over time, LoRA off beside LoRA on.
 *
 * Shapes: pixels are `[f, h, w, 3]`, sRGB, one byte each.
 */
import { rename, rm, writeFile } from "node:fs/promises";
import type { Size } from "@ltx-trainer/contract";
import { nameBeside } from "@ltx-trainer/host";
import { type OverlayOptions, sharp } from "./fenced-sharp.ts";

export type SheetRow = {
  /** Stands over the row. */
  readonly prompt: string;
  /** Pixels with the LoRA off and on, at the same seed. */
  readonly off: Uint8Array;
  readonly on: Uint8Array;
};

export type SheetFormat = {
  /** Of every video. */
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  /** Frames shown of each video, evenly spread from first to last. Default 5. */
  readonly columns?: number;
  /** Height of a shown frame in pixels. Default 144. */
  readonly cellHeight?: number;
};

const margin = 16;
const frameGap = 4;
const groupGap = 24;
const titleHeight = 26;
const labelHeight = 20;
const rowGap = 20;

type Text = { readonly x: number; readonly y: number; readonly size: number; readonly text: string };
type Layout = { cells: Promise<OverlayOptions>[]; texts: Text[]; width: number; bottom: number };

/** Writes the sheet as a PNG. */
export async function writeContactSheet(
  path: string,
  rows: readonly SheetRow[],
  format: SheetFormat,
): Promise<void> {
  const layout: Layout = { cells: [], texts: [], width: 2 * margin, bottom: margin };
  for (const row of rows) placeRow(layout, row, format);
  const size = { width: layout.width, height: layout.bottom };
  const labels = { input: Buffer.from(textLayer(layout.texts, size)), left: 0, top: 0 };
  const sheet = sharp({ create: { ...size, channels: 3, background: "#16181d" } });
  const png = await sheet
    .composite([...(await Promise.all(layout.cells)), labels])
    .removeAlpha()
    .png()
    .toBuffer();
  const beside = nameBeside(path);
  try {
    await writeFile(beside, png);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

function placeRow(layout: Layout, row: SheetRow, format: SheetFormat): void {
  const { width, height, frames, columns = 5, cellHeight = 144 } = format;
  const titleY = layout.bottom + titleHeight - 10;
  const top = layout.bottom + titleHeight + labelHeight;
  const cellWidth = Math.max(1, Math.round((width * cellHeight) / height));
  let left = margin;
  for (const [label, pixels] of [
    ["LoRA off", row.off],
    ["LoRA on", row.on],
  ] as const) {
    layout.texts.push({ x: left, y: top - 7, size: 12, text: label });
    for (const index of spread(frames, columns)) {
      const frame = pixels.subarray(index * width * height * 3, (index + 1) * width * height * 3);
      layout.cells.push(cell(frame, { width, height }, { left, top, width: cellWidth, height: cellHeight }));
      left += cellWidth + frameGap;
    }
    left += groupGap - frameGap;
  }
  const right = left - groupGap;
  const most = Math.max(8, Math.floor((right - margin) / 7.5));
  const title = row.prompt.length > most ? `${row.prompt.slice(0, most - 3)}...` : row.prompt;
  layout.texts.push({ x: margin, y: titleY, size: 14, text: title });
  layout.width = Math.max(layout.width, right + margin);
  layout.bottom = top + cellHeight + rowGap;
}

/** Evenly from the first to the last; all of them when there are no more than that. */
function spread(frames: number, columns: number): number[] {
  if (frames <= columns) return Array.from({ length: frames }, (_, index) => index);
  if (columns === 1) return [0];
  return Array.from({ length: columns }, (_, column) => Math.round((column * (frames - 1)) / (columns - 1)));
}

type Place = Size & { readonly left: number; readonly top: number };

async function cell(
  frame: Uint8Array,
  stored: Size,
  { left, top, ...shown }: Place,
): Promise<OverlayOptions> {
  // Small models make small pictures: their pixels are shown as they are, not smoothed away.
  const kernel = shown.height > 2 * stored.height ? "nearest" : "cubic";
  const picture = sharp(frame, { raw: { ...stored, channels: 3 } });
  const input = await picture.resize(shown.width, shown.height, { fit: "fill", kernel }).png().toBuffer();
  return { input, left, top };
}

function textLayer(texts: readonly Text[], { width, height }: Size): string {
  const lines = texts.map(
    ({ x, y, size, text }) =>
      `<text x="${x}" y="${y}" font-size="${size}" font-family="DejaVu Sans, Arial, sans-serif" fill="#e6e8ee">${escapeXml(text)}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${lines.join("")}</svg>`;
}

/** Control characters are not allowed in XML in any form. */
function escapeXml(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/\p{Cc}/gu, " ").replace(/[&<>"]/g, (character) => entities[character] ?? "");
}
