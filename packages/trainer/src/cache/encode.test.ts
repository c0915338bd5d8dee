/** Clips and captions through the tiny model into the cache, and back out of it, whole or damaged. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JobEvent } from "@ltx-trainer/contract";
import { openBase } from "@ltx-trainer/ltx";
import { writeSafetensors, zeros } from "@ltx-trainer/torch";
import { afterAll, describe, expect, test } from "vitest";
import type { Sample } from "../dataset/types.ts";
import { Reporter } from "../events.ts";
import { type EncodeContext, encodeSamples, encodeTexts } from "./encode.ts";
import { CacheStore } from "./store.ts";

const root = mkdtempSync(join(tmpdir(), "cache-"));
afterAll(() => rmSync(root, { recursive: true }));

const base = openBase(fileURLToPath(new URL("../../../../fixtures/folder/tiny", import.meta.url)));
const shape = { width: 64, height: 32, frames: 9 };

/** One clip and one caption, encoded with the cache in `root/<name>`. */
async function encode(name: string, dtype: "float32" | "bfloat16" = "float32") {
  const events: JobEvent[] = [];
  let loads = 0;
  const context: EncodeContext = {
    base,
    baseHash: "tiny",
    placement: { device: "cpu", dtype },
    store: new CacheStore(join(root, name)),
    reporter: new Reporter((event) => events.push(event)),
    signal: new AbortController().signal,
  };
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
  const [encoded] = await encodeSamples([sample], context);
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

const damages: readonly (readonly [string, (path: string) => void, RegExp])[] = [
  ["cut short", (path) => truncateSync(path, statSync(path).size - 1), /claims bytes|cut short/],
  ["empty", (path) => truncateSync(path, 0), /ends too early/],
  ["full of zeros", (path) => writeFileSync(path, Buffer.alloc(statSync(path).size)), /not JSON/],
  ["with a header that is a list", (path) => writeFileSync(path, framed("[1, 2]")), /no object/],
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
  ["that is a folder", replaceByFolder, /got a folder/],
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
