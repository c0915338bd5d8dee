/** Counting and decoding real clips: rates, rotation, colours, damage. */
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { probeVideo } from "./ffmpeg/probe.ts";
import {
  ffmpeg,
  frameNumbers,
  numberedClip,
  rotateClip,
  temporaryFolder,
  testClip,
} from "./testing/media.ts";
import { type DecodeRequest, decodeVideo, surveyVideo, type VideoFile } from "./video.ts";

async function openClip(path: string): Promise<VideoFile> {
  return { path, name: "clip", info: await probeVideo(path, "clip") };
}

const at25 = { clock: { frameRate: 25 }, width: 16, height: 16, start: 0 };
const tiny = 16 * 16 * 3;

async function shownFrames(
  file: VideoFile,
  request: Partial<DecodeRequest> & { frames: number },
): Promise<number[]> {
  return frameNumbers(await decodeVideo(file, { ...at25, ...request }), tiny);
}

test("a video is resampled: each frame shows what is on screen in its middle", async () => {
  const path = join(temporaryFolder(), "a.mkv");
  numberedClip(path, { frames: 60, fps: 30 });
  const file = await openClip(path);
  expect(file.info).toMatchObject({ width: 32, height: 32, frameRate: 30 });
  expect((await surveyVideo(file, at25.clock)).frames).toBe(50);
  // Frame j of the source appears at output frame round(25 j / 30), and stays until the next one does.
  const appears = Array.from({ length: 60 }, (_, source) => Math.round((source * 25) / 30));
  const expected = Array.from({ length: 50 }, (_, frame) => appears.findLastIndex((first) => first <= frame));
  expect(await shownFrames(file, { frames: 50 })).toEqual(expected);
  expect(await shownFrames(file, { start: 20, frames: 9 })).toEqual(expected.slice(20, 29));
});

test("half and double rates repeat and skip evenly", async () => {
  const path = join(temporaryFolder(), "a.mkv");
  numberedClip(path, { frames: 50, fps: 50 });
  const file = await openClip(path);
  const halved = await shownFrames(file, { frames: 25 });
  expect(halved.slice(0, 5).map((frame, index) => frame - 2 * index)).toEqual(
    [0, 0, 0, 0, 0].map(() => halved[0]),
  );
  expect(await shownFrames(file, { clock: { frameRate: 100 }, frames: 9 })).toEqual([
    0, 0, 1, 1, 2, 2, 3, 3, 4,
  ]);
});

test("a variable frame rate keeps its timing", async () => {
  const path = join(temporaryFolder(), "a.mkv");
  // Ten frames at 30 a second, then twenty at 10 a second.
  const timing = "setpts='if(lt(N,10),N,10+(N-10)*3)/(30*TB)'";
  numberedClip(path, { frames: 30, fps: 30, extra: ["-vf", timing, "-vsync", "vfr"] });
  const file = await openClip(path);
  const { frames } = await surveyVideo(file, { frameRate: 10 });
  expect(frames).toBeGreaterThanOrEqual(23);
  expect(frames).toBeLessThanOrEqual(24);
  const shown = await shownFrames(file, { clock: { frameRate: 10 }, frames: 20 });
  const times = Array.from({ length: 30 }, (_, n) => (n < 10 ? n : 10 + (n - 10) * 3) / 30);
  for (const [index, frame] of shown.entries()) {
    // Within half an output frame of the time asked for.
    expect
      .soft(Math.abs((times[frame] ?? Number.NaN) - index / 10), `frame ${index}`)
      .toBeLessThanOrEqual(0.0501);
  }
});

test("frames as stored, when no rate is asked for", async () => {
  const path = join(temporaryFolder(), "a.mkv");
  const timing = "setpts='if(lt(N,10),N,10+(N-10)*3)/(30*TB)'";
  numberedClip(path, { frames: 30, fps: 30, extra: ["-vf", timing, "-vsync", "vfr"] });
  const file = await openClip(path);
  const stored = { frameRate: undefined };
  expect((await surveyVideo(file, stored)).frames).toBe(30);
  expect(await shownFrames(file, { clock: stored, start: 7, frames: 9 })).toEqual([
    7, 8, 9, 10, 11, 12, 13, 14, 15,
  ]);
});

test("a whole clip is time-scaled to exactly the frames asked for", async () => {
  const path = join(temporaryFolder(), "a.mkv");
  numberedClip(path, { frames: 50, fps: 25 });
  const file = await openClip(path);
  const faster = await shownFrames(file, { frames: 9, scaledFrom: 50 });
  expect(faster).toHaveLength(9);
  for (const [index, frame] of faster.entries())
    expect(Math.abs(frame - (index * 50) / 9)).toBeLessThanOrEqual(3);
  expect(faster.toSorted((a, b) => a - b)).toEqual(faster);
  const slower = await shownFrames(file, { frames: 121, scaledFrom: 50 });
  expect(slower).toHaveLength(121);
  expect([slower[0], slower.at(-1)]).toEqual([0, 49]);
  expect(new Set(slower).size).toBe(50);
});

test("entering a long file in the middle gives the same frames as reading it from the start", async () => {
  const folder = temporaryFolder();
  // The second key frame comes at 26 s: a container without an index shows nothing before it when entered.
  const path = join(folder, "a.mp4");
  testClip(path, { seconds: 32, fps: 30, extra: ["-g", "780", "-bf", "2", "-sc_threshold", "0"] });
  ffmpeg(["-i", path, "-c", "copy", join(folder, "a.ts")]);
  ffmpeg(["-i", path, "-c", "copy", join(folder, "a.flv")]);
  for (const extension of ["mp4", "ts", "flv"]) {
    const file = await openClip(join(folder, `a.${extension}`));
    const whole = await decodeVideo(file, { ...at25, start: 480, frames: 257 });
    const late = await decodeVideo(file, { ...at25, start: 640, frames: 9 });
    expect.soft(Buffer.compare(late, whole.subarray(160 * tiny, 169 * tiny)), extension).toBe(0);
  }
});

test("time starts at the first video frame, even when the sound starts earlier", async () => {
  const folder = temporaryFolder();
  numberedClip(join(folder, "silent.mkv"), { frames: 30, fps: 25 });
  const late = ["-itsoffset", "0.5", "-i", join(folder, "silent.mkv")];
  const sound = ["-f", "lavfi", "-i", "sine=d=2"];
  ffmpeg([
    ...late,
    ...sound,
    "-map",
    "0:v",
    "-map",
    "1:a",
    "-c:v",
    "copy",
    "-c:a",
    "pcm_s16le",
    join(folder, "a.mkv"),
  ]);
  const file = await openClip(join(folder, "a.mkv"));
  expect(file.info.offsetSeconds).toBeCloseTo(0.5, 2);
  expect((await surveyVideo(file, at25.clock)).frames).toBe(30);
  expect(await shownFrames(file, { frames: 9 })).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

test("container rotation is applied before cropping", async () => {
  const folder = temporaryFolder();
  // Left half red, right half blue; turned by 90 degrees one of them is on top.
  const halves = "color=red:s=64x32:r=25:d=1,drawbox=x=32:w=32:h=32:color=blue:t=fill";
  testClip(join(folder, "a.mp4"), { source: halves });
  rotateClip(join(folder, "a.mp4"), join(folder, "b.mp4"));
  const file = await openClip(join(folder, "b.mp4"));
  expect(file.info).toMatchObject({ width: 32, height: 64 });
  const pixels = await decodeVideo(file, { ...at25, width: 32, height: 64, frames: 1 });
  const redAndBlue = (row: number) => [
    (pixels[row * 32 * 3 + 48] ?? 0) > 128,
    (pixels[row * 32 * 3 + 50] ?? 0) > 128,
  ];
  const [top, bottom] = [redAndBlue(4), redAndBlue(60)];
  expect([top, bottom].map(String).sort()).toEqual(["false,true", "true,false"]);
});

test("pixels that are not square are made so", async () => {
  const path = join(temporaryFolder(), "a.mp4");
  testClip(path, { extra: ["-vf", "setsar=2/1"] });
  expect((await openClip(path)).info).toMatchObject({ width: 128, height: 48 });
});

test.each([
  ["101x57", 16, 16],
  ["33x200", 64, 32],
  ["1x1", 32, 32],
  ["640x16", 32, 64],
])("a %s clip covers %ix%i and is cropped at the centre", async (size, width, height) => {
  const path = join(temporaryFolder(), "a.mkv");
  ffmpeg([
    "-f",
    "lavfi",
    "-i",
    `color=green:s=${size}:r=25:d=0.4,format=gbrp`,
    "-c:v",
    "ffv1",
    "-pix_fmt",
    "bgr0",
    path,
  ]);
  const pixels = await decodeVideo(await openClip(path), { ...at25, width, height, frames: 9 });
  expect(pixels.length).toBe(9 * width * height * 3);
});

test("the crop keeps the middle", async () => {
  const path = join(temporaryFolder(), "a.mp4");
  const thirds =
    "color=green:s=96x32:r=25:d=0.4,drawbox=w=32:h=32:color=red:t=fill,drawbox=x=64:w=32:h=32:color=blue:t=fill";
  testClip(path, { source: thirds });
  const pixels = await decodeVideo(await openClip(path), { ...at25, width: 32, height: 32, frames: 1 });
  const middle = pixels.subarray((16 * 32 + 16) * 3, (16 * 32 + 16) * 3 + 3);
  expect((middle[1] ?? 0) > 100 && (middle[0] ?? 255) < 40 && (middle[2] ?? 255) < 40).toBe(true);
});

test("transparency lies on black", async () => {
  const path = join(temporaryFolder(), "a.mov");
  ffmpeg(["-f", "lavfi", "-i", "color=white@0.5:s=32x32:r=25:d=0.4,format=argb", "-c:v", "qtrle", path]);
  const file = await openClip(path);
  expect(file.info.hasAlpha).toBe(true);
  const pixels = await decodeVideo(file, { ...at25, frames: 1 });
  expect(Math.abs((pixels[0] ?? 0) - 127)).toBeLessThanOrEqual(3);
});

test.each([
  ["untagged high definition", "1280x720", "bt709", "tv", "yuv420p", []],
  ["tagged high definition", "1280x720", "bt709", "tv", "yuv420p", ["-colorspace", "bt709"]],
  ["untagged standard definition", "640x480", "bt601", "tv", "yuv420p", []],
  ["an untagged tall clip of a script", "540x960", "bt601", "tv", "yuv420p", []],
  ["an untagged square clip of a script", "640x640", "bt601", "tv", "yuv420p", []],
  ["an untagged tall clip of a phone", "720x1280", "bt709", "tv", "yuv420p", []],
  ["an untagged film without its bars", "1280x536", "bt709", "tv", "yuv420p", []],
  ["full range", "640x480", "bt709", "pc", "yuvj420p", ["-colorspace", "bt709", "-color_range", "pc"]],
  ["ten bits", "640x480", "bt709", "tv", "yuv420p10le", ["-colorspace", "bt709"]],
])("colours survive %s, however far it is shrunk", async (_name, size, matrix, range, format, tags) => {
  const path = join(temporaryFolder(), "a.mp4");
  const convert = `format=gbrp,scale=out_color_matrix=${matrix}:out_range=${range},format=${format}`;
  const source = ["-f", "lavfi", "-i", `color=0x20c040:s=${size}:r=25:d=0.1`];
  ffmpeg([...source, "-vf", convert, "-c:v", "libx264", ...tags, path]);
  for (const side of [64, 16]) {
    const request = { ...at25, width: side, height: side, frames: 1 };
    const pixels = await decodeVideo(await openClip(path), request);
    for (const [channel, value] of [0x20, 0xc0, 0x40].entries()) {
      const difference = Math.abs((pixels[channel] ?? 0) - value);
      expect.soft(difference, `channel ${channel} at ${side} pixels`).toBeLessThanOrEqual(3);
    }
  }
});

test("a file that was cut short gives the frames it still holds", async () => {
  const path = join(temporaryFolder(), "a.mp4");
  testClip(path, { seconds: 4, size: "128x96", extra: ["-movflags", "+faststart", "-g", "25"] });
  truncateSync(path, Math.floor(readFileSync(path).length * 0.6));
  const file = await openClip(path);
  const { frames, complaint } = await surveyVideo(file, at25.clock);
  expect(frames).toBeGreaterThan(25);
  expect(frames).toBeLessThan(95);
  expect(complaint).not.toBe("");
  expect((await decodeVideo(file, { ...at25, frames })).length).toBe(frames * tiny);
});

test("asking for more frames than there are is refused with both counts", async () => {
  const path = join(temporaryFolder(), "a.mkv");
  numberedClip(path, { frames: 12, fps: 25 });
  await expect(decodeVideo(await openClip(path), { ...at25, frames: 17 })).rejects.toMatchObject({
    code: "media_unreadable",
    message: "clip: 12 of 17 frames could be decoded",
  });
});

test("says what is wrong with files that are no video", async () => {
  const folder = temporaryFolder();
  const refusal = async (name: string, content: string | Uint8Array) => {
    writeFileSync(join(folder, name), content);
    return probeVideo(join(folder, name), name).catch((error: Error) => error.message);
  };
  testClip(join(folder, "good.mp4"));
  const good = readFileSync(join(folder, "good.mp4"));
  expect(await refusal("cut.mp4", good.subarray(0, 1000))).toMatch(/^cut.mp4: its index is missing/);
  expect(await refusal("text.mp4", "hello")).toMatch(/^text.mp4: .{10,}/);
  expect(await refusal("empty.mp4", "")).toMatch(/^empty.mp4: .{10,}/);
  ffmpeg(["-f", "lavfi", "-i", "sine=d=0.2", "-c:a", "aac", join(folder, "sound.mp4")]);
  expect(await refusal("sound2.mp4", readFileSync(join(folder, "sound.mp4")))).toBe(
    "sound2.mp4: it has no video in it",
  );
});

test("a playlist in disguise opens nothing", async () => {
  const folder = temporaryFolder();
  testClip(join(folder, "secret.mp4"));
  const playlist = `#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nfile://${folder}/secret.mp4\n#EXT-X-ENDLIST\n`;
  writeFileSync(join(folder, "evil.mp4"), playlist);
  await expect(probeVideo(join(folder, "evil.mp4"), "evil.mp4")).rejects.toMatchObject({
    code: "media_unreadable",
  });
  const list = `ffconcat version 1.0\nfile ${folder}/secret.mp4\n`;
  writeFileSync(join(folder, "list.mp4"), list);
  await expect(probeVideo(join(folder, "list.mp4"), "list.mp4")).rejects.toMatchObject({
    code: "media_unreadable",
  });
});

test("names that look like options or addresses are only names", async () => {
  const folder = temporaryFolder();
  for (const name of ["-i.mp4", "http:x.mp4", "a b'c\".mp4", "%03d.mp4"]) {
    testClip(join(folder, "plain.mp4"));
    writeFileSync(join(folder, name), readFileSync(join(folder, "plain.mp4")));
    expect.soft((await probeVideo(join(folder, name), name)).width, name).toBe(64);
  }
});
