/**
 * The header of a safetensors file: names, types, shapes and byte ranges of its tensors.
 *
 * Source: the format's description in huggingface/safetensors, README.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { type DType, dtypeBytes } from "../tensor/dtype.ts";

/** A file is not valid safetensors, or a folder has none. The message names it. */
export class SafetensorsError extends Error {
  override readonly name = "SafetensorsError";
}

export type Entry = {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
};
export type Header = {
  readonly entries: ReadonlyMap<string, Entry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Where the first tensor's bytes begin, from the start of the file. */
  readonly dataStart: number;
};

const types: Readonly<Record<string, DType>> = {
  U8: "uint8",
  I8: "int8",
  I16: "int16",
  I32: "int32",
  I64: "int64",
  F16: "float16",
  BF16: "bfloat16",
  F32: "float32",
  F64: "float64",
  BOOL: "bool",
  F8_E4M3: "float8_e4m3fn",
  F8_E5M2: "float8_e5m2",
};

/** The format's limit in bytes. It refuses a wrong file before gigabytes are read. */
const largestHeader = 100_000_000;

export function typeName(dtype: DType): string {
  for (const [name, type] of Object.entries(types)) if (type === dtype) return name;
  throw new RangeError(`safetensors: ${dtype} has no name in this format`);
}

/** @throws SafetensorsError naming the file when it is not a safetensors file or is truncated */
export function readHeader(path: string): Header {
  // Opening a pipe without a writer blocks for ever, and no signal interrupts it.
  if (!statSync(path).isFile())
    throw new SafetensorsError(`${path}: got something that is not a file, expected a safetensors file`);
  const descriptor = openSync(path, "r");
  try {
    const size = fstatSync(descriptor).size;
    const length = Number(readAt(descriptor, 0, 8, path).readBigUInt64LE());
    if (length > largestHeader || length + 8 > size) {
      throw new SafetensorsError(
        `${path}: got a header of ${length} bytes in a file of ${size}; not a safetensors file, or cut short`,
      );
    }
    const text = readAt(descriptor, 8, length, path).toString("utf8");
    return parseHeader(text, 8 + length, size, path);
  } finally {
    closeSync(descriptor);
  }
}

function readAt(descriptor: number, position: number, length: number, path: string): Buffer {
  const buffer = Buffer.alloc(length);
  if (readSync(descriptor, buffer, 0, length, position) < length)
    throw new SafetensorsError(`${path}: the file ends too early`);
  return buffer;
}

type RawEntry = {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
};

function parseHeader(text: string, dataStart: number, fileSize: number, path: string): Header {
  const { __metadata__: metadata = {}, ...tensors } = parseObject(text, path);
  if (!isObject(metadata) || Object.values(metadata).some((value) => typeof value !== "string")) {
    throw new SafetensorsError(`${path}: __metadata__ is not an object of strings; not a safetensors file`);
  }
  const entries = new Map<string, Entry>();
  for (const [name, entry] of Object.entries(tensors)) {
    entries.set(name, toEntry(name, entry, fileSize - dataStart, path));
  }
  return { entries, metadata: metadata as Record<string, string>, dataStart };
}

function parseObject(text: string, path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SafetensorsError(`${path}: the header is not JSON; not a safetensors file`, { cause });
  }
  if (!isObject(value))
    throw new SafetensorsError(`${path}: the header is not a JSON object; not a safetensors file`);
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isRawEntry(value: unknown): value is RawEntry {
  if (!isObject(value) || typeof value.dtype !== "string") return false;
  const { shape, data_offsets: offsets } = value;
  const areSizes = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((size) => Number.isSafeInteger(size) && size >= 0);
  return areSizes(shape) && areSizes(offsets) && offsets.length === 2;
}

function toEntry(name: string, entry: unknown, dataSize: number, path: string): Entry {
  if (!isRawEntry(entry))
    throw new SafetensorsError(`${path}: ${name} has no dtype, shape and data_offsets of whole numbers`);
  const dtype = Object.hasOwn(types, entry.dtype) ? types[entry.dtype] : undefined;
  if (!dtype)
    throw new SafetensorsError(
      `${path}: ${name} has type ${entry.dtype}, expected one of ${Object.keys(types).join(", ")}`,
    );
  const [start, end] = entry.data_offsets;
  const bytes = entry.shape.reduce((product, size) => product * size, dtypeBytes(dtype));
  if (end - start !== bytes || end > dataSize) {
    throw new SafetensorsError(
      `${path}: ${name} claims bytes ${start} to ${end}, expected ${bytes} bytes within ${dataSize}`,
    );
  }
  return { dtype, shape: entry.shape, start, end };
}
