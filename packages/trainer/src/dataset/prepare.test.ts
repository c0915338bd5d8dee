/** From a dataset to samples and a report, on real files. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { makeZip, numberedClip, temporaryFolder, testClip } from "../media/testing/media.ts";
import { prepareDataset } from "./prepare.ts";
import { datasetOptions } from "./testing/options.ts";
import type { DatasetOptions } from "./types.ts";

const options = datasetOptions({ frames: 17 });

async function picture(path: string, colour = "#3060a0"): Promise<void> {
  await sharp({ create: { width: 40, height: 30, channels: 3, background: colour } })
    .png()
    .toFile(path);
}

/** A folder with two good clips, a picture, captions, and everything that goes wrong in practice. */
async function typicalFolder(): Promise<string> {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "sub"));
  numberedClip(join(folder, "long.mkv"), { frames: 45, fps: 25 });
  numberedClip(join(folder, "sub", "short.mkv"), { frames: 12, fps: 25 });
  numberedClip(join(folder, "stub.mkv"), { frames: 5, fps: 25 });
  await picture(join(folder, "still.png"));
  testClip(join(folder, "whole.mp4"));
  writeFileSync(join(folder, "broken.mp4"), readFileSync(join(folder, "whole.mp4")).subarray(0, 900));
  writeFileSync(join(folder, "broken.txt"), "never seen");
  writeFileSync(join(folder, "long.txt"), "a long clip\n");
  writeFileSync(join(folder, "sub", "short.txt"), "TOK, a short clip");
  writeFileSync(join(folder, ".DS_Store"), "x");
  writeFileSync(join(folder, "notes.pdf"), "x");
  return folder;
}

const prepare = (source: string, changes: Partial<DatasetOptions> = {}) =>
  prepareDataset(source, { ...options, ...changes }, { workFolder: temporaryFolder() });

test("a typical folder: what is kept, what is dropped, and why", async () => {
  const { samples, report, hash } = await prepare(await typicalFolder(), { triggerPhrase: "TOK" });
  expect(samples.map(({ path, kind, frames, caption }) => [path, kind, frames, caption])).toEqual([
    ["long.mkv", "video", 17, "TOK a long clip"],
    ["long.mkv", "video", 17, "TOK a long clip"],
    ["long.mkv", "video", 9, "TOK a long clip"],
    ["still.png", "image", 1, "TOK"],
    ["sub/short.mkv", "video", 9, "TOK, a short clip"],
    ["whole.mp4", "video", 17, "TOK"],
  ]);
  const fates = report.files.map(({ path, status, reason }) => [path, status, reason]);
  expect(fates).toEqual([
    [".DS_Store", "ignored", "left behind by an operating system"],
    ["broken.mp4", "dropped", "its index is missing (cut short, or not a video)"],
    ["broken.txt", "kept", undefined],
    ["long.mkv", "kept", undefined],
    ["long.txt", "kept", undefined],
    ["notes.pdf", "ignored", "a document: only a .txt of the same name as a video or image is a caption"],
    ["still.png", "kept", undefined],
    ["stub.mkv", "dropped", "too short: 5 frames, expected at least 9 at 25 frames a second"],
    ["sub/short.mkv", "kept", undefined],
    ["sub/short.txt", "kept", undefined],
    ["whole.mp4", "kept", undefined],
  ]);
  expect(report.totals).toMatchObject({
    files: 11,
    kept: 4,
    dropped: 2,
    ignored: 2,
    samples: 6,
    videoSamples: 5,
    imageSamples: 1,
  });
  expect(report.files.find((file) => file.path === "long.mkv")).toMatchObject({
    notes: ["2 frames at the end are not used"],
    captionSource: "text file",
    samples: [
      { startSeconds: 0 },
      { startSeconds: 17 / 25 },
      { startSeconds: 34 / 25, durationSeconds: 9 / 25 },
    ],
  });
  expect(report.warnings.join("\n")).toMatch(
    /2 of 6 media files cannot be used.*2 of 4 media files have no caption/s,
  );
  expect(report.hash).toBe(hash);
});

test("samples load the pixels of their window, again and again the same", async () => {
  const { samples } = await prepare(await typicalFolder());
  for (const { load, frames, width, height } of samples) {
    expect.soft((await load()).length).toBe(frames * width * height * 3);
  }
  const second = samples[1];
  const pixels = await second?.load();
  expect(pixels?.[0]).toBe(17 * 4);
  expect(Buffer.compare((await second?.load()) ?? new Uint8Array(), pixels ?? new Uint8Array())).toBe(0);
});

test("the same data as folder and as zip give the same samples", async () => {
  const folder = await typicalFolder();
  const names = ["sub/short.mkv", "long.txt", "whole.mp4", "still.png", "long.mkv", "sub/short.txt"];
  const content = Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]));
  await makeZip(join(folder, "set.zip"), content);
  const [fromFolder, fromZip] = [await prepare(folder), await prepare(join(folder, "set.zip"))];
  expect(fromZip.samples.map(({ id }) => id)).toEqual(fromFolder.samples.map(({ id }) => id));
  expect(fromZip.hash).toBe(fromFolder.hash);
  expect(new Set(fromZip.samples.map(({ id }) => id)).size).toBe(fromZip.samples.length);
});

test("ids follow size and rate; the hash follows captions", async () => {
  const folder = temporaryFolder();
  numberedClip(join(folder, "a.mkv"), { frames: 17, fps: 25 });
  const base = await prepare(folder);
  const ids = new Set([base.samples[0]?.id]);
  for (const change of [
    { width: 64 },
    { height: 64 },
    { frameRate: 24 },
    { frames: 9 },
    { autoScale: true, frames: 9 },
  ]) {
    ids.add((await prepare(folder, change)).samples[0]?.id);
  }
  expect(ids.size).toBe(6);
  const captioned = await prepare(folder, { triggerPhrase: "TOK" });
  expect(captioned.samples[0]?.id).toBe(base.samples[0]?.id);
  expect(captioned.hash).not.toBe(base.hash);
});

test("time-scaling makes one sample of a whole clip", async () => {
  const { samples, report } = await prepare(await typicalFolder(), { autoScale: true });
  expect(samples.map(({ path, frames }) => [path, frames])).toEqual([
    ["long.mkv", 17],
    ["still.png", 1],
    ["stub.mkv", 17],
    ["sub/short.mkv", 17],
    ["whole.mp4", 17],
  ]);
  const line = report.files.find((file) => file.path === "long.mkv");
  expect(line).toMatchObject({
    notes: ["time-scaled: 2.65 times faster"],
    samples: [{ durationSeconds: 45 / 25 }],
  });
  const pixels = await samples[0]?.load();
  expect(pixels?.length).toBe(17 * 32 * 32 * 3);
});

test("without resampling samples keep their file's own rate", async () => {
  const folder = temporaryFolder();
  numberedClip(join(folder, "a.mkv"), { frames: 20, fps: 10 });
  const { samples } = await prepare(folder, { resampleFrameRate: false });
  expect(samples.map(({ frames, frameRate }) => [frames, frameRate])).toEqual([[17, 10]]);
});

test("the expert switches: only the first window, only full samples", async () => {
  const folder = await typicalFolder();
  const first = await prepare(folder, { useAllFootage: false });
  expect(first.samples.filter(({ path }) => path === "long.mkv")).toHaveLength(1);
  const full = await prepare(folder, { mixedShapes: false });
  expect(full.samples.map(({ path, frames }) => [path, frames])).toEqual([
    ["long.mkv", 17],
    ["long.mkv", 17],
    ["whole.mp4", 17],
  ]);
  expect(full.report.files.find((file) => file.path === "still.png")).toMatchObject({
    status: "dropped",
    reason: "an image among videos, and mixed_shapes is off",
  });
});

test("captions in other encodings are read; what was guessed or left out is in the report and in the log", async () => {
  const folder = temporaryFolder();
  const captions: Record<string, Uint8Array | string> = {
    "a.txt": Buffer.from("6974927320612072656420637562", "hex"),
    "b.caption": "[trigger] walks",
    "c.png.txt": Buffer.from("d2bbb8f6baecc9abb5c4b7bdbfe9", "hex"),
    "d.txt": "",
    "e.txt": Uint8Array.from({ length: 100 }, (_, index) => (index * 37) & 0xff),
    "f.txt": "x ".repeat(40_000),
  };
  for (const name of ["a", "b", "c", "d", "e", "f"]) await picture(join(folder, `${name}.png`));
  for (const [name, content] of Object.entries(captions)) writeFileSync(join(folder, name), content);
  const logged: string[] = [];
  const { report, samples } = await prepareDataset(folder, options, {
    workFolder: temporaryFolder(),
    log: (level, message) => logged.push(`${level}: ${message}`),
    describeUnseen: (caption) => (caption === "walks" ? ["9 tokens, and it reads 8"] : []),
  });
  expect(samples.map(({ caption }) => caption)).toEqual([
    "it\u2019s a red cub",
    "walks",
    "一个红色的方块",
    "",
    "",
    "",
  ]);
  const noted = [
    "a.png: a.txt: not UTF-8, read as Windows-1252: save it as UTF-8 if the words are wrong",
    "b.png: [trigger] is left out: there is no trigger phrase",
    "b.png: caption: 9 tokens, and it reads 8",
    "c.png: c.png.txt: not UTF-8, read as GB 18030: save it as UTF-8 if the words are wrong",
    "d.png: d.txt is empty",
    "d.png: its name says nothing about what it shows, so it trains without a caption",
    "e.png: e.txt: not a text file, so it is not used",
    "e.png: its name says nothing about what it shows, so it trains without a caption",
    "f.png: f.txt is not used: got 80000 bytes, expected at most 65536 for a caption",
    "f.png: its name says nothing about what it shows, so it trains without a caption",
  ];
  expect(logged).toEqual(noted.map((note) => `warning: ${note}`));
  const inReport = report.files.flatMap(({ path, notes }) => (notes ?? []).map((note) => `${path}: ${note}`));
  expect(inReport).toEqual(expect.arrayContaining(noted));
  expect(report.warnings.join("\n")).toMatch(/3 of 6 media files have no caption; nothing will be used/);
  expect(report.files.find(({ path }) => path === "d.png")).toMatchObject({
    caption: "",
    captionSource: "none",
  });
});

test("images alone are a dataset, without ffmpeg too", async () => {
  const folder = temporaryFolder();
  for (const name of ["b.png", "a.png"])
    await picture(join(folder, name), name === "a.png" ? "#ff0000" : "#00ff00");
  const { samples } = await prepare(folder, { mixedShapes: false });
  expect(samples.map(({ path, frames }) => [path, frames])).toEqual([
    ["a.png", 1],
    ["b.png", 1],
  ]);
  expect([...((await samples[0]?.load()) ?? [])].slice(0, 3)).toEqual([255, 0, 0]);
});

test("contents win over names", async () => {
  const folder = temporaryFolder();
  await picture(join(folder, "a.mp4"));
  numberedClip(join(folder, "c.mkv"), { frames: 9, fps: 25 });
  writeFileSync(join(folder, "b.png"), readFileSync(join(folder, "c.mkv")));
  const { samples, report } = await prepare(folder);
  expect(samples.map(({ path, kind, frames }) => [path, kind, frames])).toEqual([
    ["a.mp4", "image", 1],
    ["b.png", "video", 9],
    ["c.mkv", "video", 9],
  ]);
  expect(report.files[2]?.notes).toContain("same content as b.png");
});

test("nothing usable is an error that gives every reason", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "a.mp4"), "no video");
  numberedClip(join(folder, "b.mkv"), { frames: 3, fps: 25 });
  await expect(prepare(folder)).rejects.toMatchObject({
    code: "no_usable_media",
    exitCode: 2,
    message: expect.stringMatching(
      /none of 2 media files can be used:\n {2}a\.mp4: .+\n {2}b\.mkv: too short: 3 frames/,
    ),
  });
});

test("a dataset without media or without files says so", async () => {
  const folder = temporaryFolder();
  await makeZip(join(folder, "text.zip"), { "readme.txt": "x", "data.csv": "y" });
  await makeZip(join(folder, "empty.zip"), {});
  await makeZip(join(folder, "junk.zip"), { "__MACOSX/._a.mp4": "x" });
  await makeZip(join(folder, "locked.zip"), { "a.mp4": "x" }, { password: "p" });
  await expect(prepare(join(folder, "text.zip"))).rejects.toMatchObject({
    code: "no_usable_media",
    message: expect.stringContaining(
      "got no video or image (found: data.csv, readme.txt), expected at least one of .3g2",
    ),
  });
  await expect(prepare(join(folder, "empty.zip"))).rejects.toMatchObject({ code: "dataset_empty" });
  await expect(prepare(join(folder, "junk.zip"))).rejects.toMatchObject({ code: "dataset_empty" });
  await expect(prepare(join(folder, "locked.zip"))).rejects.toMatchObject({ code: "zip_encrypted" });
});

test("progress counts every media file, and dropping one is logged", async () => {
  const progress: string[] = [];
  const logged: string[] = [];
  await prepareDataset(await typicalFolder(), options, {
    workFolder: temporaryFolder(),
    onProgress: ({ title, done, total }) => progress.push(`${title} ${done}/${total}`),
    log: (level, message) => logged.push(`${level}: ${message}`),
  });
  expect(progress.at(-1)).toBe("Checking media 6/6");
  expect(progress).toHaveLength(6);
  expect(logged).toHaveLength(2);
  expect(logged[0]).toMatch(/^warning: dropped broken\.mp4: /);
});

/** Clips with references: one as long, one that ends early, one too short, one broken, one missing. */
function folderOfPairs(): string {
  const folder = temporaryFolder();
  const clip = (name: string, frames: number) =>
    numberedClip(join(folder, `${name}.mkv`), { frames, fps: 25 });
  for (const name of ["equal", "early", "stub", "torn", "alone"]) clip(name, 36);
  clip("equal.reference", 36);
  clip("early.reference", 20);
  numberedClip(join(folder, "stub.reference.mkv"), { frames: 5, fps: 25 });
  writeFileSync(join(folder, "torn.reference.mkv"), "no video");
  clip("nobody.reference", 36);
  return folder;
}

test("with references, every sample has the same stretch of its reference, or is dropped with the reason", async () => {
  const { samples, report } = await prepare(folderOfPairs(), { referenceVideos: true });
  const pairs = samples.map(({ path, frames, reference }) => [
    path,
    frames,
    reference?.path,
    reference?.frames,
  ]);
  expect(pairs).toEqual([
    ["early.mkv", 17, "early.reference.mkv", 17],
    ["equal.mkv", 17, "equal.reference.mkv", 17],
    ["equal.mkv", 17, "equal.reference.mkv", 17],
  ]);
  const second = await samples[2]?.reference?.load();
  expect(second?.[0]).toBe(17 * 4);
  const fates = report.files.map(({ path, kind, status, reason }) => [path, kind, status, reason]);
  expect(fates).toEqual([
    ["alone.mkv", "video", "dropped", "no reference beside it, expected alone.reference.mkv"],
    ["early.mkv", "video", "kept", undefined],
    ["early.reference.mkv", "reference", "kept", undefined],
    ["equal.mkv", "video", "kept", undefined],
    ["equal.reference.mkv", "reference", "kept", undefined],
    ["nobody.reference.mkv", "video", "ignored", "no video or image of this name in its folder"],
    [
      "stub.mkv",
      "video",
      "dropped",
      "its reference stub.reference.mkv does not fit: too short: 5 frames, expected at least 9 at 25 frames a second",
    ],
    ["stub.reference.mkv", "reference", "ignored", "what it belongs to is dropped"],
    [
      "torn.mkv",
      "video",
      "dropped",
      expect.stringMatching(/^its reference torn.reference.mkv cannot be used: /),
    ],
    ["torn.reference.mkv", "reference", "ignored", "what it belongs to is dropped"],
  ]);
  expect(report.files[1]?.notes).toContain("1 of 2 samples left out: the reference is of another length");
  expect(report.totals).toMatchObject({ kept: 2, dropped: 3, samples: 3 });
});

test("the hash follows the reference, and without the switch a reference is a clip like any other", async () => {
  const folder = temporaryFolder();
  const reference = join(folder, "a.reference.mkv");
  numberedClip(join(folder, "a.mkv"), { frames: 17, fps: 25 });
  numberedClip(reference, { frames: 17, fps: 25 });
  const first = await prepare(folder, { referenceVideos: true });
  numberedClip(reference, { frames: 18, fps: 25 });
  const second = await prepare(folder, { referenceVideos: true });
  expect(second.samples[0]?.id).toBe(first.samples[0]?.id);
  expect(second.hash).not.toBe(first.hash);
  const plain = await prepare(folder);
  expect(plain.samples.map(({ path, reference: none }) => [path, none])).toEqual([
    ["a.mkv", undefined],
    ["a.reference.mkv", undefined],
  ]);
  expect(plain.report.files[1]?.notes?.at(-1)).toMatch(/reference_videos is off/);
});

test("a stopped preparation stops", async () => {
  const abort = new AbortController();
  abort.abort();
  const context = { workFolder: temporaryFolder(), signal: abort.signal };
  await expect(prepareDataset(await typicalFolder(), options, context)).rejects.toMatchObject({
    code: "interrupted",
    exitCode: 130,
  });
});
