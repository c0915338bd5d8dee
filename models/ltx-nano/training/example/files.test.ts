/** The small writers of ours: zip and PNG files must be read by other programs. */
import { inflateSync } from "node:zlib";
import { expect, test } from "vitest";
import { drawClip } from "../clips/draw.ts";
import { Random } from "../clips/random.ts";
import { sampleScene } from "../clips/scene.ts";
import { contactSheet, crc32, encodePng } from "./png.ts";
import { storeZip } from "./zip.ts";

test("the checksum is the one of the standard's check value", () => {
  expect(crc32(Buffer.from("123456789"))).toBe(0xcbf43926);
});

test("a PNG's header, checksums and pixels can be read back", () => {
  const rgb = new Uint8Array([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  const png = encodePng({ width: 3, height: 2, rgb });
  expect(png.subarray(1, 4).toString()).toBe("PNG");
  expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([3, 2]);
  const size = png.readUInt32BE(33);
  expect(png.subarray(37, 41).toString()).toBe("IDAT");
  expect(png.readUInt32BE(41 + size)).toBe(crc32(png.subarray(37, 41 + size)));
  const lines = inflateSync(png.subarray(41, 41 + size));
  expect([...lines]).toEqual([0, ...rgb.subarray(0, 9), 0, ...rgb.subarray(9)]);
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

test("a stored zip is found by its end record, entry by entry, with right sizes and checksums", () => {
  const files = [
    { name: "a.txt", data: Buffer.from("hello") },
    { name: "folder/\u00e9.bin", data: Buffer.from([0, 1, 2, 255]) },
  ];
  const zip = storeZip(files);
  expect(zip.equals(storeZip(files))).toBe(true);
  const end = zip.length - 22;
  expect(zip.readUInt32LE(end)).toBe(0x06054b50);
  expect(zip.readUInt16LE(end + 10)).toBe(2);
  let central = zip.readUInt32LE(end + 16);
  for (const { name, data } of files) {
    expect(zip.readUInt32LE(central)).toBe(0x02014b50);
    const nameLength = zip.readUInt16LE(central + 28);
    expect(zip.subarray(central + 46, central + 46 + nameLength).toString()).toBe(name);
    expect(zip.readUInt32LE(central + 16)).toBe(crc32(data));
    const local = zip.readUInt32LE(central + 42);
    expect(zip.readUInt32LE(local)).toBe(0x04034b50);
    const start = local + 30 + zip.readUInt16LE(local + 26);
    expect(zip.subarray(start, start + zip.readUInt32LE(local + 22)).equals(data)).toBe(true);
    central += 46 + nameLength;
  }
});
