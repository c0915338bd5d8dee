/** Pictures as other programs write them: BMP, animated PNG, many names of JPEG, raw photos, and what is no picture. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { examine } from "../dataset/samples.ts";
import { datasetOptions } from "../dataset/testing/options.ts";
import { decodeImage } from "./image.ts";
import { fileKind } from "./media-kinds.ts";
import { ffmpeg, frameNumbers, numberedClip, temporaryFolder } from "./testing/media.ts";

const options = datasetOptions({ width: 16, height: 16 });

const look = (path: string, name = "picture") => examine({ path, name, kind: "image" }, options);

test.each([
  ["24 bits", "bgr24"],
  ["32 bits", "bgra"],
  ["a palette", "pal8"],
])("reads BMP of %s", async (_name, format) => {
  const path = join(temporaryFolder(), "a.jpg");
  const source = "color=0xd02040:s=30x20,drawbox=x=15:w=15:h=20:color=0x20d040:t=fill";
  ffmpeg([
    "-f",
    "lavfi",
    "-i",
    source,
    "-frames:v",
    "1",
    "-pix_fmt",
    format,
    "-c:v",
    "bmp",
    "-f",
    "image2",
    path,
  ]);
  const { pieces, width, height } = await look(path);
  expect([width, height, pieces.length]).toEqual([30, 20, 1]);
  const pixels = await pieces[0]?.excerpt.load();
  const [left, right] = [pixels?.subarray(0, 3) ?? [], pixels?.subarray(45, 48) ?? []];
  for (const [channel, value] of [0xd0, 0x20, 0x40].entries())
    expect.soft(Math.abs((left[channel] ?? 0) - value), `left ${channel}`).toBeLessThanOrEqual(20);
  expect((right[1] ?? 0) > 180 && (right[0] ?? 255) < 60).toBe(true);
});

test("an animated PNG is a clip, and one with a single picture an image", async () => {
  const folder = temporaryFolder();
  numberedClip(join(folder, "a.mkv"), { frames: 12, fps: 10 });
  const apng = ["-pix_fmt", "rgba", "-c:v", "apng", "-f", "apng", "-plays", "0"];
  ffmpeg(["-i", join(folder, "a.mkv"), ...apng, join(folder, "clip.png")]);
  const { kind, pieces, durationSeconds = 0 } = await look(join(folder, "clip.png"));
  expect([kind, pieces.length]).toEqual(["video", 3]);
  expect(Math.abs(durationSeconds - 1.2)).toBeLessThanOrEqual(0.1);
  const pixels = (await pieces[1]?.excerpt.load()) ?? new Uint8Array();
  const appears = Array.from({ length: 12 }, (_, source) => Math.round(source * 2.5));
  const expected = Array.from({ length: 9 }, (_, frame) =>
    appears.findLastIndex((first) => first <= 9 + frame),
  );
  expect(frameNumbers(pixels, 16 * 16 * 3)).toEqual(expected);

  ffmpeg(["-i", join(folder, "a.mkv"), "-frames:v", "1", ...apng, join(folder, "still.png")]);
  expect(await look(join(folder, "still.png"))).toMatchObject({
    kind: "image",
    pieces: [{ line: { frames: 1 } }],
  });
});

test("of a file with many pictures the first is used, and said so", async () => {
  const path = join(temporaryFolder(), "a.tif");
  const page = { width: 32, height: 32, channels: 3 as const };
  const pages = ["#ff0000", "#0000ff"].map((background) => sharp({ create: { ...page, background } }).png());
  const stack = await Promise.all(pages.map((image) => image.toBuffer()));
  await sharp(stack, { join: { animated: true } })
    .tiff()
    .toFile(path);
  const { notes, pieces } = await look(path);
  expect(notes).toEqual(["holds 2 pictures: the first is used"]);
  const [red = 0, , blue = 255] = (await pieces[0]?.excerpt.load()) ?? [];
  expect([red > 250, blue < 5]).toEqual([true, true]);
});

test("names of JPEG, and names of media that are only tried", () => {
  const names = ["a.jfif", "a.JPE", "a.jif", "a.pjpeg", "a.apng", "a.dng", "a.svg", "a.jxl"];
  expect(names.map(fileKind)).toEqual(names.map(() => "image"));
  expect(["a.MTS", "a.m2ts", "a.3gp", "a.rmvb"].map(fileKind)).toEqual(["video", "video", "video", "video"]);
});

test("a drawing that reads the files beside it is not opened, whatever it is called", async () => {
  const folder = temporaryFolder();
  const secret = { width: 16, height: 16, channels: 3 as const, background: "#ff0000" };
  await sharp({ create: secret }).png().toFile(join(folder, "secret.png"));
  const drawing =
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="16" height="16">' +
    '<image xlink:href="secret.png" width="16" height="16"/></svg>';
  for (const name of ["a.png", "a.svg", "a.bmp"]) {
    writeFileSync(join(folder, name), drawing);
    const refusal = "no image of a kind that is read";
    await expect.soft(look(join(folder, name), name), name).rejects.toThrow(`${name}: ${refusal}`);
    const file = { path: join(folder, name), name, decoder: "sharp" as const };
    await expect.soft(decodeImage(file, { width: 16, height: 16 }), name).rejects.toThrow(refusal);
  }
});

test("a raw photo is not taken for the thumbnail in it", async () => {
  const path = join(temporaryFolder(), "a.nef");
  const thumbnail = { width: 16, height: 16, channels: 3 as const, background: "#ff0000" };
  await sharp({ create: thumbnail }).tiff().toFile(path);
  await expect(look(path, "a.nef")).rejects.toThrow(
    "a.nef: no image of a kind that is read (image/tiff): save it",
  );
});
