/** Clips and captions through the tiny model into the cache, and back out of it, whole or damaged. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JobEvent } from "@ltx-trainer/contract";
import { openBase } from "@ltx-trainer/ltx";
import { writeSafetensors, zeros } from "@ltx-trainer/torch";
import { afterAll, describe, expect, test } from "vitest";
import { prepareDataset } from "../dataset/prepare.ts";
import { withoutLost } from "../dataset/report/lost-samples.ts";
import { datasetOptions } from "../dataset/testing/options.ts";
import type { Sample } from "../dataset/types.ts";
import { unreadable } from "../media/ffmpeg/probe.ts";
import { numberedClip } from "../media/testing/media.ts";
import { Reporter } from "../process/events.ts";
import { type EncodeContext, encodeSamples, encodeTexts } from "./encode.ts";
import { CacheStore } from "./store.ts";

const root = mkdtempSync(join(tmpdir(), "cache-"));
afterAll(() => rmSync(root, { recursive: true }));

const base = openBase(fileURLToPath(new URL("../../../../fixtures/folder/tiny", import.meta.url)));
const shape = { width: 64, height: 32, frames: 9 };

function contextOf(
  name: string,
  events: JobEvent[],
  dtype: "float32" | "bfloat16" = "float32",
): EncodeContext {
  return {
    base,
    baseHash: "tiny",
    placement: { device: "cpu", dtype },
    store: new CacheStore(join(root, name)),
    reporter: new Reporter((event) => events.push(event)),
    signal: new AbortController().signal,
  };
}

/** One clip and one caption, encoded with the cache in `root/<name>`. */
async function encode(name: string, dtype: "float32" | "bfloat16" = "float32") {
  const events: JobEvent[] = [];
  let loads = 0;
  const context = contextOf(name, events, dtype);
  const sample = {
    ...shape,
    id: "clip",
    caption: "a caption",
    frameRate: 25,
    load: async () => {
      loads++;
      const bytes = new Uint8Array(shape.width * shape.height * shape.frames * 3);
      return bytes.map((_, index) => (index * 37) % 251);
    },
  } as unknown as Sample;
  const [encoded] = (await encodeSamples([sample], context)).samples;
  const texts = await encodeTexts(["a caption"], { textLength: 8, maskTextPadding: true }, context);
  const warnings = events.flatMap((event) => (event.type === "warning" ? [event.message] : []));
  // Copies: the tensors are views of files that the tests go on to cut.
  const latents = encoded?.latents_1CFHW.toArray();
  const dtypes = [encoded?.latents_1CFHW.dtype, texts.get("a caption")?.text_1LD.dtype];
  return { latents, text: texts.get("a caption")?.text_1LD.toArray(), dtypes, loads, warnings };
}

function entryOf(name: string, kind: "latents" | "captions"): string {
  const files = readdirSync(join(root, name, kind), { recursive: true, withFileTypes: true });
  const [file] = files.filter((entry) => entry.isFile());
  return join(file?.parentPath ?? "", file?.name ?? "");
}

test.each(["float32", "bfloat16"] as const)(
  "what is in the cache is not encoded again, in %s",
  async (dtype) => {
    const first = await encode(dtype, dtype);
    const second = await encode(dtype, dtype);
    expect([first.loads, second.loads]).toEqual([1, 0]);
    expect(first.dtypes).toEqual([dtype, dtype]);
    expect(second.latents).toEqual(first.latents);
    expect(second.text).toEqual(first.text);
    expect(second.warnings).toEqual([]);
  },
);

test("a clip that cannot be decoded after all is left out with a warning, and the report says so", async () => {
  const folder = join(root, "clips");
  mkdirSync(folder);
  numberedClip(join(folder, "bad.mkv"), { frames: 9, fps: 25 });
  numberedClip(join(folder, "good.mkv"), { frames: 18, fps: 25 });
  const options = datasetOptions({ ...shape, triggerPhrase: "TOK" });
  const dataset = await prepareDataset(folder, options, { workFolder: join(root, "clips-work") });
  expect(dataset.samples).toHaveLength(3);
  truncateSync(join(folder, "bad.mkv"), 100);
  const events: JobEvent[] = [];
  const { samples, lost } = await encodeSamples(dataset.samples, contextOf("lost", events));
  expect(samples.map(({ id }) => id)).toEqual(dataset.samples.slice(1).map(({ id }) => id));
  const warnings = events.filter(({ type }) => type === "warning");
  expect(warnings).toMatchObject([
    {
      message: expect.stringMatching(/^a sample of bad.mkv is left out: 0 of 9 frames could be decoded/),
    },
  ]);
  const left = withoutLost(dataset, lost);
  expect(left.hash).not.toBe(dataset.hash);
  expect(left.report.totals).toMatchObject({ kept: 1, dropped: 1, samples: 2 });
  expect(left.report.files[0]).toMatchObject({
    path: "bad.mkv",
    status: "dropped",
    reason: lost.get(dataset.samples[0]?.id ?? ""),
  });
  const [, second] = left.samples;
  const shorter = withoutLost(left, new Map([[second?.id ?? "", "it is gone"]]));
  expect(shorter.report.files[1]).toMatchObject({
    status: "kept",
    notes: expect.arrayContaining(["1 of 2 samples left out: it is gone"]),
  });
  const all = new Map(dataset.samples.map(({ id }) => [id, "it is gone"]));
  expect(() => withoutLost(dataset, all)).toThrow(
    /none of 2 media files can be used:\n {2}bad.mkv: it is gone/,
  );
});

test("a sample whose reference cannot be decoded is left out with it", async () => {
  const pixels = async () => new Uint8Array(shape.width * shape.height * shape.frames * 3);
  const broken = async () => {
    throw unreadable("a.reference.mp4", "it is damaged");
  };
  const reference = { ...shape, id: "reference", path: "a.reference.mp4", frameRate: 25, load: broken };
  const sample = { ...shape, id: "a", path: "a.mp4", caption: "", frameRate: 25, load: pixels, reference };
  const alone = { ...shape, id: "b", path: "b.mp4", caption: "", frameRate: 25, load: pixels };
  const both = [sample, alone] as unknown as Sample[];
  const { samples, lost } = await encodeSamples(both, contextOf("reference", []));
  expect(samples.map(({ id }) => id)).toEqual(["b"]);
  expect([...lost]).toEqual([["a", "its reference a.reference.mp4: it is damaged"]]);
});

const damages: readonly (readonly [string, (path: string) => void, RegExp])[] = [
  ["cut short", (path) => truncateSync(path, statSync(path).size - 1), /claims bytes|cut short/],
  ["empty", (path) => truncateSync(path, 0), /ends too early/],
  ["full of zeros", (path) => writeFileSync(path, Buffer.alloc(statSync(path).size)), /not JSON/],
  ["with a header that is a list", (path) => writeFileSync(path, framed("[1, 2]")), /not a JSON object/],
  [
    "with an entry that is no tensor",
    (path) => writeFileSync(path, framed('{"latents": 1}')),
    /has no dtype/,
  ],
  [
    "of another shape",
    (path) => writeSafetensors(path, { latents: zeros([1]), text: zeros([1]) }),
    /expected/,
  ],
  ["of another type", (path) => writeFloat64(path), /got float64/],
  ["with other names", (path) => writeSafetensors(path, { other: zeros([1]) }), /got nothing/],
  ["that is a folder", replaceByFolder, /got something that is not a file/],
];

describe.each(damages)("an entry %s", (what, damage, reason) => {
  test.each(["latents", "captions"] as const)("of the %s is removed, said and made anew", async (kind) => {
    const name = `${what} ${kind}`;
    const first = await encode(name);
    const path = entryOf(name, kind);
    const bytes = readFileSync(path);
    damage(path);
    const second = await encode(name);
    expect(second.loads).toBe(kind === "latents" ? 1 : 0);
    expect(second.warnings).toHaveLength(1);
    expect(second.warnings[0]).toMatch(/^cache: damaged entry removed, encoding it again: /);
    expect(second.warnings[0]).toMatch(reason);
    expect(second.latents).toEqual(first.latents);
    expect(second.text).toEqual(first.text);
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });
});

test("what a killed process left of an entry goes when the entry is written again; what may be in work stays", async () => {
  const name = "killed";
  await encode(name);
  const path = entryOf(name, "latents");
  rmSync(path);
  const [old, fresh] = [`${path}.11.tmp`, `${path}.12.tmp`];
  for (const file of [old, fresh]) writeFileSync(file, "half");
  const yesterday = new Date(Date.now() - 24 * 3600_000);
  utimesSync(old, yesterday, yesterday);
  await encode(name);
  expect([path, old, fresh].map(existsSync)).toEqual([true, false, true]);
});

function replaceByFolder(path: string): void {
  rmSync(path);
  mkdirSync(path);
}

function framed(header: string): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header)]);
}

/** The tensors of the file, with their shapes, as float64. */
function writeFloat64(path: string): void {
  const bytes = readFileSync(path);
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString());
  const tensors = Object.entries<{ shape: number[] }>(header);
  writeSafetensors(
    path,
    new Map(tensors.map(([name, { shape: size }]) => [name, zeros(size, { dtype: "float64" })])),
  );
}
