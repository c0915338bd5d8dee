/** Archives and pictures of the example can be read by others, and come out the same each time. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TextWriter, Uint8ArrayReader, Uint8ArrayWriter, ZipReader } from "@zip.js/zip.js";
import sharp from "sharp";
import { expect, test } from "vitest";
import { drawClip } from "../clips/draw.ts";
import { Random } from "../clips/random.ts";
import { sampleScene } from "../clips/scene.ts";
import { contactSheet, writePng } from "./contact-sheet.ts";
import { storeZip } from "./zip.ts";

test("a picture's pixels can be read back", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nano-picture-"));
  try {
    const rgb = new Uint8Array([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    await writePng(join(folder, "a.png"), { width: 3, height: 2, rgb });
    expect(readFileSync(join(folder, "a.png")).subarray(1, 4).toString()).toBe("PNG");
    const { data, info } = await sharp(join(folder, "a.png")).raw().toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: 3, height: 2, channels: 3 });
    expect([...data]).toEqual([...rgb]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a contact sheet shows first and last frame of every clip, enlarged", () => {
  const format = { width: 64, height: 48, frames: 9, fps: 8 };
  const clip = drawClip(sampleScene(new Random(1), format, { motions: ["right"] }), format);
  const sheet = contactSheet([clip, clip], 3, 2);
  expect([sheet.width, sheet.height]).toEqual([3 * (128 + 4) + 4, 2 * (96 + 4) + 4]);
  const at = (x: number, y: number, channel: number): number =>
    sheet.rgb[3 * (y * sheet.width + x) + channel]!;
  const lastFrame = 8 * 48 * 64;
  expect(at(4 + 2 * 132, 4, 0)).toBe(Math.round(255 * clip.pixels[lastFrame]!));
});

test("a stored zip has its entries in order, uncompressed, and the same bytes each time", async () => {
  const files = [
    { name: "a.txt", data: new TextEncoder().encode("hello") },
    { name: "folder/\u00e9.bin", data: new Uint8Array([0, 1, 2, 255]) },
  ];
  const zip = await storeZip(files);
  expect(Buffer.compare(zip, await storeZip(files))).toBe(0);
  const entries = await new ZipReader(new Uint8ArrayReader(zip), { checkSignature: true }).getEntries();
  expect(entries.map(({ filename }) => filename)).toEqual(files.map(({ name }) => name));
  for (const [index, entry] of entries.entries()) {
    if (entry.directory) throw new Error("a folder among the entries");
    expect(entry.compressionMethod).toBe(0);
    const bytes = await entry.getData(new Uint8ArrayWriter());
    expect(bytes).toEqual(files[index]?.data);
  }
});

test("the bundled example has a caption for every clip", async () => {
  const path = join(import.meta.dirname, "../../../../examples/glowpulse.zip");
  const entries = await new ZipReader(new Uint8ArrayReader(readFileSync(path))).getEntries();
  expect(entries).toHaveLength(36);
  const [first] = entries.filter(({ filename }) => filename.endsWith(".txt"));
  if (!first || first.directory) throw new Error("no caption in the bundled example");
  expect(await first.getData(new TextWriter())).toContain("glowpulse");
});
