/** Validation videos, contact sheets and first frames, read back with ffmpeg and sharp. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { expect, onTestFinished, test } from "vitest";
import { loadFirstFrame } from "../sampling/first-frame.ts";
import { loadReferenceVideo } from "../sampling/reference-video.ts";
import { writeContactSheet } from "./contact-sheet.ts";
import { writeVideo } from "./encode-video.ts";
import { probeVideo } from "./ffmpeg/probe.ts";
import { frameNumbers, numberedClip, temporaryFolder, testClip } from "./testing/media.ts";
import { decodeVideo, surveyVideo } from "./video.ts";

const square = { frames: 9, width: 32, height: 32, frameRate: 16 };

/** Frame f is of one colour: red falls with f, green rises, blue is given. */
function ramp(frames: number, width: number, height: number, blue = 0): Uint8Array {
  const pixels = new Uint8Array(frames * height * width * 3);
  for (let index = 0; index < pixels.length; index += 3) {
    const frame = Math.floor(index / (width * height * 3));
    pixels.set([240 - frame * 12, 10 + frame * 12, blue], index);
  }
  return pixels;
}

async function readBack(path: string, width: number, height: number, frames: number) {
  const file = { path, name: path, info: await probeVideo(path, path) };
  const pixels = await decodeVideo(file, { clock: { frameRate: 16 }, width, height, start: 0, frames });
  const count = await surveyVideo(file, { frameRate: 16 });
  const at = (frame: number, x: number) => {
    const start = ((frame * height + height / 2) * width + x) * 3;
    return [...pixels.subarray(start, start + 3)];
  };
  return { at, frames: count.frames };
}

function close(got: readonly number[], wanted: readonly number[]): void {
  for (const [index, value] of wanted.entries()) {
    expect.soft(Math.abs((got[index] ?? -99) - value), `${got} and ${wanted}`).toBeLessThanOrEqual(6);
  }
}

test("a video plays everywhere and shows the colours it was given", async () => {
  const path = join(temporaryFolder(), "a.mp4");
  await writeVideo(path, [ramp(17, 64, 48, 80)], { frames: 17, width: 64, height: 48, frameRate: 16 });
  const fields =
    "stream=codec_name,pix_fmt,color_range,color_space,color_primaries,color_transfer,r_frame_rate,nb_frames";
  const probed = spawnSync("ffprobe", [
    "-v",
    "error",
    "-of",
    "json",
    "-show_entries",
    fields,
    path,
  ]).stdout.toString();
  expect(JSON.parse(probed).streams).toEqual([
    {
      codec_name: "h264",
      pix_fmt: "yuv420p",
      color_range: "tv",
      color_space: "bt709",
      color_primaries: "bt709",
      color_transfer: "bt709",
      r_frame_rate: "16/1",
      nb_frames: "17",
    },
  ]);
  const bytes = readFileSync(path).toString("latin1");
  expect(bytes.indexOf("moov")).toBeLessThan(bytes.indexOf("mdat"));
  const { at } = await readBack(path, 64, 48, 17);
  close(at(0, 10), [240, 10, 80]);
  close(at(16, 50), [48, 202, 80]);
  expect(readdirSync(dirname(path))).toEqual(["a.mp4"]);
});

test("reversed, the last frame comes first", async () => {
  const path = join(temporaryFolder(), "a.mp4");
  await writeVideo(path, [ramp(9, 32, 32)], { ...square, reverse: true });
  const { at } = await readBack(path, 32, 32, 9);
  close(at(0, 16), [144, 106, 0]);
  close(at(8, 16), [240, 10, 0]);
});

test("several videos stand side by side", async () => {
  const path = join(temporaryFolder(), "a.mp4");
  await writeVideo(path, [ramp(9, 32, 32, 0), ramp(9, 32, 32, 200)], square);
  const { at, frames } = await readBack(path, 64, 32, 9);
  expect(frames).toBe(9);
  close(at(0, 8), [240, 10, 0]);
  close(at(0, 56), [240, 10, 200]);
  close(at(8, 8), [144, 106, 0]);
  close(at(8, 56), [144, 106, 200]);
});

test("odd sizes and a single frame can be written", async () => {
  const path = join(temporaryFolder(), "a.mp4");
  await writeVideo(path, [ramp(1, 33, 17)], { frames: 1, width: 33, height: 17, frameRate: 25 });
  expect((await probeVideo(path, "a")).width).toBe(34);
});

test("the same frames give the same file", async () => {
  const folder = temporaryFolder();
  for (const name of ["a.mp4", "b.mp4"]) await writeVideo(join(folder, name), [ramp(9, 32, 32)], square);
  expect(readFileSync(join(folder, "a.mp4")).equals(readFileSync(join(folder, "b.mp4")))).toBe(true);
});

test("refuses pixels that do not fit the size, and says why a file cannot be written", async () => {
  const two = { ...square, frames: 2 };
  const write = (path: string, videos: Uint8Array[]) => writeVideo(path, videos, two);
  await expect(write("/tmp/never.mp4", [ramp(3, 32, 32)])).rejects.toThrow(
    "writeVideo: got 9216 bytes, expected 6144 bytes (2x32x32x3) in each video",
  );
  await expect(write("/tmp/never.mp4", [])).rejects.toThrow("got 0 videos of 2 frames");
  await expect(write("/nonexistent/a.mp4", [ramp(2, 32, 32)])).rejects.toMatchObject({
    code: "tool_failed",
    message: expect.stringContaining("No such file or directory"),
  });
});

test("the contact sheet shows frames over time, off beside on, with words above", async () => {
  const path = join(temporaryFolder(), "sheet.png");
  const row = (prompt: string) => ({ prompt, off: ramp(17, 64, 64, 0), on: ramp(17, 64, 64, 250) });
  const rows = [row('a <red> "cube" & more'), row("second".repeat(100))];
  await writeContactSheet(path, rows, { frames: 17, width: 64, height: 64, columns: 3, cellHeight: 64 });
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  expect(info.width).toBe(2 * 16 + 6 * 64 + 4 * 4 + 24);
  expect(info.height).toBe(16 + 2 * (26 + 20 + 64 + 20));
  const at = (x: number, y: number) => [
    ...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3),
  ];
  const top = 16 + 46 + 32;
  expect(at(16 + 32, top)).toEqual([240, 10, 0]);
  expect(at(16 + 68 + 32, top)).toEqual([144, 106, 0]);
  expect(at(16 + 2 * 68 + 32, top)).toEqual([48, 202, 0]);
  expect(at(16 + 3 * 68 + 20 + 32, top)).toEqual([240, 10, 250]);
  expect(at(16 + 32, top + 130)).toEqual([240, 10, 0]);
});

test("a first frame comes from a path or a data URI, at the size asked for", async () => {
  const folder = temporaryFolder();
  const background = "#204060";
  const png = await sharp({ create: { width: 80, height: 40, channels: 3, background } })
    .png()
    .toBuffer();
  writeFileSync(join(folder, "a.png"), png);
  const size = { width: 32, height: 48 };
  for (const source of [join(folder, "a.png"), `data:image/png;base64,${png.toString("base64")}`]) {
    const pixels = await loadFirstFrame(source, size);
    expect(pixels.length).toBe(32 * 48 * 3);
    expect([...pixels.subarray(0, 3)]).toEqual([0x20, 0x40, 0x60]);
  }
});

test("a first frame that is missing, a video or damaged is refused by name", async () => {
  const folder = temporaryFolder();
  const size = { width: 32, height: 32 };
  const load = (source: string) => loadFirstFrame(source, size);
  await expect(load(join(folder, "no.png"))).rejects.toMatchObject({ code: "source_not_found" });
  testClip(join(folder, "a.mp4"));
  await expect(load(join(folder, "a.mp4"))).rejects.toThrow(
    /a\.mp4: got a file of type video\/mp4, expected an image$/,
  );
  writeFileSync(join(folder, "b.png"), "x");
  await expect(load(join(folder, "b.png"))).rejects.toMatchObject({ code: "media_unreadable" });
});

test("a folder or a pipe is neither a first frame nor a reference", { timeout: 20_000 }, async () => {
  const folder = temporaryFolder();
  const pipe = join(folder, "pipe.png");
  spawnSync("mkfifo", [pipe]);
  for (const [path, kind] of [
    [folder, "a folder"],
    [pipe, "a pipe"],
    ["/dev/zero", "a device"],
  ] as const) {
    const refusal = { code: "media_unreadable", message: `${path}: got ${kind}, expected a file` };
    await expect.soft(loadFirstFrame(path, square)).rejects.toMatchObject(refusal);
    await expect
      .soft(loadReferenceVideo(path, square, { autoScale: false, temporalCompression: 8 }))
      .rejects.toMatchObject(refusal);
  }
});

test("a first frame is downloaded into the given folder, up to a size, and removed", async () => {
  const scratch = join(temporaryFolder(), "work");
  const picture = await sharp({ create: { width: 8, height: 8, channels: 3, background: "red" } })
    .png()
    .toBuffer();
  let inScratch: string[] = [];
  const server = createServer(({ url }, response) => {
    inScratch = readdirSync(scratch);
    if (url === "/huge.png") response.writeHead(200, { "content-length": String(101 * 2 ** 20) });
    response.end(url === "/huge.png" ? undefined : picture);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  onTestFinished(() => void server.close());
  const at = (name: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}`;
  const pixels = await loadFirstFrame(at("red.png"), { width: 8, height: 8 }, { scratch });
  expect([...pixels.subarray(0, 3)]).toEqual([255, 0, 0]);
  expect(inScratch).toHaveLength(1);
  await expect(loadFirstFrame(at("huge.png"), { width: 8, height: 8 }, { scratch })).rejects.toMatchObject({
    code: "download_too_large",
    facts: { field: "validation", maxBytes: 100 * 2 ** 20 },
  });
  expect(readdirSync(scratch)).toEqual([]);
});

test("a reference video is cut to the shape; too short a one or a picture is refused with what is missing", async () => {
  const folder = temporaryFolder();
  const [long, short, picture] = ["long.mkv", "short.mkv", "a.png"].map((name) => join(folder, name));
  numberedClip(long!, { frames: 20, fps: 16 });
  numberedClip(short!, { frames: 7, fps: 16 });
  await sharp({ create: { width: 40, height: 30, channels: 3, background: "red" } }).toFile(picture!);
  const frameBytes = square.width * square.height * 3;
  const shown = async (path: string, autoScale: boolean) =>
    frameNumbers(await loadReferenceVideo(path, square, { autoScale, temporalCompression: 8 }), frameBytes);
  expect(await shown(long!, false)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect((await shown(long!, true)).at(-1)).toBeGreaterThan(15);
  await expect(
    loadReferenceVideo(short!, square, { autoScale: false, temporalCompression: 8 }),
  ).rejects.toMatchObject({
    code: "media_unreadable",
    message: `reference video ${short}: too short: 7 frames, expected 9 at 16 frames a second`,
  });
  await expect(
    loadReferenceVideo(picture!, square, { autoScale: false, temporalCompression: 8 }),
  ).rejects.toThrow("got an image, expected a video of at least 9 frames");
});
