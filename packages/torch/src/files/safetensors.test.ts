import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  type DType,
  Generator,
  openTensors,
  randn,
  SafetensorsFile,
  tensor,
  writeSafetensors,
} from "../index.ts";

const folder = mkdtempSync(join(tmpdir(), "safetensors-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

/** A file written byte by byte, as another program would. */
function writeRaw(path: string, header: unknown, data: Uint8Array, headerPadding = 0): void {
  const text = Buffer.from(JSON.stringify(header) + " ".repeat(headerPadding));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, data]));
}

describe("writing and reading", () => {
  test("every element type comes back bit for bit, with the metadata", () => {
    const source = randn([3, 5], { generator: new Generator(1) }).mul(50);
    const types: DType[] = [
      "float32",
      "float64",
      "float16",
      "bfloat16",
      "int64",
      "int32",
      "int16",
      "int8",
      "uint8",
    ];
    const tensors = new Map(types.map((type) => [type as string, source.abs().to(type)]));
    tensors.set("flags", source.gt(0));
    writeSafetensors(at("all.safetensors"), tensors, { format: "pt" });
    const file = SafetensorsFile.open(at("all.safetensors"));
    expect(file.metadata).toEqual({ format: "pt" });
    for (const [name, original] of tensors) {
      expect(file.info(name)).toEqual({ dtype: original.dtype, shape: [3, 5] });
      expect(file.tensor(name).toBytes()).toEqual(original.toBytes());
    }
    file.close();
  });

  test("nothing is left beside the file, and a file in place is replaced whole", () => {
    writeSafetensors(at("one.safetensors"), { x: tensor([1]) });
    writeSafetensors(at("one.safetensors"), { x: tensor([2]) });
    expect(readdirSync(folder).filter((name) => name.startsWith("one"))).toEqual(["one.safetensors"]);
    expect(SafetensorsFile.open(at("one.safetensors")).tensor("x").item()).toBe(2);
  });

  test("tensors outlive the file they came from, and changing one does not change the file", () => {
    writeSafetensors(at("life.safetensors"), { x: tensor([1, 2]) });
    const before = readFileSync(at("life.safetensors"));
    const file = SafetensorsFile.open(at("life.safetensors"));
    const x = file.tensor("x");
    file.close();
    expect(x.add_(5).toArray()).toEqual([6, 7]);
    expect(readFileSync(at("life.safetensors"))).toEqual(before);
    expect(() => file.tensor("x")).toThrow(/closed/);
  });

  test("a header of odd length, which puts the data off its alignment, is read right", () => {
    const values = new Float32Array([1.5, -2.25]);
    for (let padding = 0; padding < 4; padding++) {
      const header = { x: { dtype: "F32", shape: [2], data_offsets: [0, 8] } };
      writeRaw(at("odd.safetensors"), header, new Uint8Array(values.buffer), padding);
      expect(SafetensorsFile.open(at("odd.safetensors")).tensor("x").toArray()).toEqual([1.5, -2.25]);
    }
  });

  test("8-bit floats are read with or without libtorch's help", () => {
    const bytes = Uint8Array.from([0x38, 0xb8, 0x7e, 0x01, 0x00]);
    const header = { x: { dtype: "F8_E4M3", shape: [5], data_offsets: [0, 5] } };
    writeRaw(at("f8.safetensors"), header, bytes);
    expect(SafetensorsFile.open(at("f8.safetensors")).tensor("x").to("float32").toArray()).toEqual([
      1,
      -1,
      448,
      2 ** -9,
      0,
    ]);
  });
});

describe("shards", () => {
  test("are read through their index as one", () => {
    const shards = mkdtempSync(join(folder, "shards-"));
    writeSafetensors(join(shards, "m-00001-of-00002.safetensors"), { a: tensor([1]) });
    writeSafetensors(join(shards, "m-00002-of-00002.safetensors"), { b: tensor([2]) });
    const index = { weight_map: { a: "m-00001-of-00002.safetensors", b: "m-00002-of-00002.safetensors" } };
    writeFileSync(join(shards, "m.safetensors.index.json"), JSON.stringify(index));
    const source = openTensors(shards);
    expect(source.names()).toEqual(["a", "b"]);
    expect(source.tensor("b").item()).toBe(2);
    expect(() => source.tensor("c")).toThrow(/no tensor named c/);
  });

  test("a folder without safetensors says so", () => {
    const empty = mkdtempSync(join(folder, "empty-"));
    expect(() => openTensors(empty)).toThrow(/got none, expected one .safetensors file/);
  });
});

describe("damaged files", () => {
  test("are refused with the file's name and what is wrong", () => {
    writeFileSync(at("text.safetensors"), "this is not a model, it is only a sentence about one");
    expect(() => SafetensorsFile.open(at("text.safetensors"))).toThrow(/text.safetensors: got a header of/);
    writeRaw(
      at("short.safetensors"),
      { x: { dtype: "F32", shape: [4], data_offsets: [0, 16] } },
      new Uint8Array(8),
    );
    expect(() => SafetensorsFile.open(at("short.safetensors"))).toThrow(
      /x claims bytes 0 to 16, expected 16 bytes within 8/,
    );
    writeRaw(
      at("lying.safetensors"),
      { x: { dtype: "F32", shape: [1], data_offsets: [0, 8] } },
      new Uint8Array(8),
    );
    expect(() => SafetensorsFile.open(at("lying.safetensors"))).toThrow(/expected 4 bytes/);
    for (const path of [folder, "/dev/null"])
      expect(() => SafetensorsFile.open(path)).toThrow(`${path}: got something that is not a file`);
    writeFileSync(at("empty.safetensors"), "");
    expect(() => SafetensorsFile.open(at("empty.safetensors"))).toThrow(/ends too early/);
  });
});
