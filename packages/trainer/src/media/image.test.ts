/** Decoding real images and animations. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp, { type Sharp } from "sharp";
import { expect, test } from "vitest";
import { decodeImage, decodePages, type ImageFile, pagesOnScreen, probeImage } from "./image.ts";
import { ffmpeg, temporaryFolder } from "./testing/media.ts";

const file = (path: string): ImageFile => ({ path, name: "picture", decoder: "sharp" });
const pixel = (pixels: Uint8Array, index: number) => [...pixels.subarray(index * 3, index * 3 + 3)];

/** Left half red, right half blue. */
async function halves(width: number, height: number): Promise<Buffer> {
  const half = { width: width / 2, height, channels: 3 as const, background: "#0000ff" };
  const blue = await sharp({ create: half }).png().toBuffer();
  return sharp({ create: { ...half, width, background: "#ff0000" } })
    .composite([{ input: blue, left: width / 2, top: 0 }])
    .png()
    .toBuffer();
}

test("a photo that a camera marked as turned is turned", async () => {
  const path = join(temporaryFolder(), "a.jpg");
  await sharp(await halves(64, 32))
    .withMetadata({ orientation: 6 })
    .jpeg({ quality: 95 })
    .toFile(path);
  expect(await probeImage(file(path))).toEqual({
    width: 32,
    height: 64,
    pages: 1,
    delaysMs: [expect.any(Number)],
  });
  const pixels = await decodeImage(file(path), { width: 32, height: 64 });
  expect(pixel(pixels, 16)[0]).toBeGreaterThan(200);
  expect(pixel(pixels, 63 * 32 + 16)[2]).toBeGreaterThan(200);
});

test("transparency lies on black", async () => {
  const path = join(temporaryFolder(), "a.png");
  const background = { r: 255, g: 255, b: 255, alpha: 0.5 };
  await sharp({ create: { width: 32, height: 32, channels: 4, background } })
    .png()
    .toFile(path);
  const [red] = await decodeImage(file(path), { width: 16, height: 16 });
  expect(Math.abs((red ?? 0) - 128)).toBeLessThanOrEqual(1);
});

test("a wide-gamut picture becomes sRGB", async () => {
  const path = join(temporaryFolder(), "a.png");
  const background = { r: 230, g: 120, b: 40 };
  await sharp({ create: { width: 16, height: 16, channels: 3, background } })
    .withIccProfile("p3")
    .png()
    .toFile(path);
  // The stored numbers differ, or this test would show nothing.
  const stored = await sharp(path, { ignoreIcc: true }).raw().toBuffer();
  expect(Math.abs((stored[0] ?? 0) - 230)).toBeGreaterThan(5);
  const pixels = await decodeImage(file(path), { width: 16, height: 16 });
  for (const [channel, value] of [230, 120, 40].entries()) {
    expect.soft(Math.abs((pixels[channel] ?? 0) - value)).toBeLessThanOrEqual(3);
  }
});

test.each([
  ["grey", (image: Sharp) => image.greyscale().png()],
  ["16 bits", (image: Sharp) => image.toColourspace("rgb16").png()],
  ["a palette", (image: Sharp) => image.png({ palette: true })],
  ["CMYK", (image: Sharp) => image.toColourspace("cmyk").jpeg()],
  ["WebP", (image: Sharp) => image.webp()],
  ["AVIF", (image: Sharp) => image.avif()],
  ["TIFF", (image: Sharp) => image.tiff()],
])("reads %s as three bytes a pixel", async (_name, convert) => {
  const path = join(temporaryFolder(), "a");
  await convert(sharp(await halves(50, 30))).toFile(path);
  const pixels = await decodeImage(file(path), { width: 32, height: 16 });
  expect(pixels.length).toBe(32 * 16 * 3);
  expect(pixel(pixels, 8 * 32 + 4)).not.toEqual(pixel(pixels, 8 * 32 + 28));
});

test("the crop keeps the middle, and shrinking averages instead of picking", async () => {
  const path = join(temporaryFolder(), "a.png");
  const checkers = Buffer.from(
    Array.from({ length: 256 * 64 }, (_, i) => (((i % 256) + Math.floor(i / 256)) % 2) * 255),
  );
  await sharp(checkers, { raw: { width: 256, height: 64, channels: 1 } })
    .png()
    .toFile(path);
  const pixels = await decodeImage(file(path), { width: 16, height: 16 });
  for (const value of pixels.subarray(0, 48)) expect.soft(Math.abs(value - 128)).toBeLessThanOrEqual(12);
});

test("a damaged or foreign file is refused by name", async () => {
  const folder = temporaryFolder();
  const good = await sharp(await halves(400, 300))
    .png({ compressionLevel: 0 })
    .toBuffer();
  writeFileSync(join(folder, "cut.png"), good.subarray(0, good.length / 2));
  writeFileSync(join(folder, "text.png"), "hello");
  const size = { width: 16, height: 16 };
  const reasons = {
    "cut.png": "the image cannot be decoded: ",
    "text.png": "no image of a kind that is read: ",
  };
  for (const [name, reason] of Object.entries(reasons)) {
    const refused = decodeImage({ path: join(folder, name), name, decoder: "sharp" as const }, size);
    await expect.soft(refused, name).rejects.toMatchObject({ code: "media_unreadable" });
    await expect.soft(refused, name).rejects.toThrow(new RegExp(`^${name}: ${reason}`));
  }
  const heic = { path: join(folder, "text.png"), name: "a.heic", decoder: "heic" as const };
  await expect(decodeImage(heic, size)).rejects.toMatchObject({ code: "media_unreadable" });
});

test.each(["gif", "webp"])("pictures of an animated %s are read one by one", async (format) => {
  const folder = temporaryFolder();
  ffmpeg(["-f", "lavfi", "-i", "testsrc2=s=60x40:r=10:d=4", join(folder, "a.gif")]);
  const path = join(folder, `b.${format}`);
  if (format === "gif") writeFileSync(path, readFileSync(join(folder, "a.gif")));
  else await sharp(join(folder, "a.gif"), { animated: true }).webp({ lossless: true }).toFile(path);
  const info = await probeImage(file(path));
  expect(info).toMatchObject({ width: 60, height: 40 });
  // WebP joins pictures that are equal; the time they fill stays.
  expect(info.delaysMs.reduce((sum, delay) => sum + delay)).toBe(4000);
  const size = { width: 16, height: 16 };
  const frameBytes = 16 * 16 * 3;
  const wanted = [0, 1, 1, 17, info.delaysMs.length - 1];
  const pixels = await decodePages(file(path), info, size, wanted);
  for (const [index, page] of wanted.entries()) {
    const alone = await decodePages(file(path), info, size, [page]);
    expect.soft(Buffer.compare(alone, pixels.subarray(index * frameBytes, (index + 1) * frameBytes))).toBe(0);
  }
  expect(
    Buffer.compare(pixels.subarray(0, frameBytes), pixels.subarray(3 * frameBytes, 4 * frameBytes)),
  ).not.toBe(0);
});

test("which picture is on screen follows the delays", () => {
  expect(pagesOnScreen([100, 100], 10, 2)).toEqual([0, 1]);
  expect(pagesOnScreen([100, 300, 100], 10, 5)).toEqual([0, 1, 1, 1, 2]);
  expect(pagesOnScreen([100, 300, 100], 20, 4, 6)).toEqual([1, 1, 2, 2]);
  expect(pagesOnScreen([50, 50], 10, 4)).toEqual([1, 1, 1, 1]);
});
