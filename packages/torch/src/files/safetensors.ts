/**
 * Safetensors files: read lazily through a memory map, written as a stream to a temporary file that is then renamed.
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { native } from "../addon/binding.ts";
import type { TensorInfo, TensorSource } from "../nn/parameters.ts";
import { type DType, dtypeBytes, dtypeCode } from "../tensor/dtype.ts";
import { decodeFloat8, float8IsNative, isFloat8 } from "../tensor/float8.ts";
import { scope } from "../tensor/scope.ts";
import { type Tensor, wrap } from "../tensor/tensor.ts";
import { type Header, readHeader, SafetensorsError, typeName } from "./safetensors-header.ts";

/** One file. Tensors are views of the mapped file: only pages that are read are loaded. */
export class SafetensorsFile implements TensorSource {
  readonly path: string;
  readonly #header: Header;
  readonly #mapping: number;

  private constructor(path: string, header: Header, mapping: number) {
    this.path = path;
    this.#header = header;
    this.#mapping = mapping;
  }

  /** @throws SafetensorsError naming the file when it is missing, damaged or of another format */
  static open(path: string): SafetensorsFile {
    const header = readHeader(path);
    return new SafetensorsFile(path, header, native.openMapping(path));
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.#header.metadata;
  }

  names(): readonly string[] {
    return [...this.#header.entries.keys()];
  }

  has(name: string): boolean {
    return this.#header.entries.has(name);
  }

  info(name: string): TensorInfo {
    const { dtype, shape } = this.#entry(name);
    return { dtype, shape };
  }

  /** A view of the file. 8-bit floats become float32 if libtorch lacks the type. */
  tensor(name: string): Tensor {
    const { dtype, shape, start } = this.#entry(name);
    const decoded = isFloat8(dtype) && !float8IsNative();
    const offset = this.#header.dataStart + start;
    // libtorch reads through aligned pointers. An offset can be unaligned, for example after a header of odd length.
    const isAligned = offset % dtypeBytes(dtype) === 0;
    const stored = isAligned ? (decoded ? "uint8" : dtype) : "uint8";
    const isBytes = stored === "uint8" && dtypeBytes(dtype) > 1;
    const size = isBytes ? [shape.reduce((product, length) => product * length, dtypeBytes(dtype))] : shape;
    const view = () => wrap(native.mappedTensor(this.#mapping, offset, size, dtypeCode(stored)));
    if (isBytes) return scope(() => wrap(native.fromBytes(view().toUint8Array(), shape, dtypeCode(dtype))));
    return decoded ? scope(() => decodeFloat8(view(), dtype)) : view();
  }

  /** Closes the file. Tensors already read stay valid. */
  close(): void {
    native.closeMapping(this.#mapping);
  }

  #entry(name: string) {
    const entry = this.#header.entries.get(name);
    if (!entry) throw new RangeError(`${this.path}: no tensor named ${name}`);
    return entry;
  }
}

export type OpenTensors = TensorSource & {
  readonly metadata: Readonly<Record<string, string>>;
  close(): void;
};

/**
 * A file, or a folder with one file or several shards and their `*.index.json`.
 *
 * @throws SafetensorsError when the folder holds no safetensors file, or a shard of the index is missing
 */
export function openTensors(path: string): OpenTensors {
  if (!statSync(path).isDirectory()) return SafetensorsFile.open(path);
  const { index, files } = weightFiles(path);
  return index === undefined
    ? SafetensorsFile.open(join(path, files[0] as string))
    : openShards(path, join(path, index));
}

/** The names of the files that `openTensors` reads in a folder, sorted. @throws SafetensorsError as `openTensors` does */
export function tensorFiles(folder: string): string[] {
  const { index, files } = weightFiles(folder);
  return [...files, ...(index === undefined ? [] : [index])].toSorted();
}

/** One file, or the shards of an index. Skips hidden files: macOS leaves `._name` files that are not weights. */
function weightFiles(folder: string): { index: string | undefined; files: readonly string[] } {
  const names = readdirSync(folder)
    .filter((name) => !name.startsWith("."))
    .toSorted();
  const index = names.find((name) => name.endsWith(".safetensors.index.json"));
  if (index) return { index, files: [...new Set(Object.values(readIndex(join(folder, index))))] };
  const files = names.filter((name) => name.endsWith(".safetensors"));
  if (files.length === 1) return { index, files };
  const found = files.length === 0 ? "none" : files.join(", ");
  throw new SafetensorsError(
    `${folder}: got ${found}, expected one .safetensors file, or shards with a .safetensors.index.json`,
  );
}

/** Which shard holds a tensor, by the tensor's name. */
function readIndex(path: string): Record<string, string> {
  let index: { weight_map?: Record<string, string> };
  try {
    index = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new SafetensorsError(`${path}: got invalid JSON (${String(cause)}), expected an index of shards`);
  }
  if (!index?.weight_map) throw new SafetensorsError(`${path}: no "weight_map" in this index`);
  return index.weight_map;
}

function openShards(folder: string, indexPath: string): OpenTensors {
  const home = new Map(Object.entries(readIndex(indexPath)));
  const shards = new Map<string, SafetensorsFile>();
  for (const name of new Set(home.values())) shards.set(name, SafetensorsFile.open(join(folder, name)));
  const shardOf = (name: string): SafetensorsFile => {
    const shard = shards.get(home.get(name) ?? "");
    if (!shard?.has(name)) throw new RangeError(`${indexPath}: no tensor named ${name}`);
    return shard;
  };
  return {
    names: () => [...home.keys()],
    has: (name) => home.has(name),
    info: (name) => shardOf(name).info(name),
    tensor: (name) => shardOf(name).tensor(name),
    metadata: shards.values().next().value?.metadata ?? {},
    close: () => {
      for (const shard of shards.values()) shard.close();
    },
  };
}

type Named = ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>;

/** Writes to a temporary file, one tensor in memory at a time, flushes it to disk and renames it: never half a file. */
export function writeSafetensors(
  path: string,
  tensors: Named,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const entries = tensors instanceof Map ? [...tensors] : Object.entries(tensors);
  const beside = `${path}.${process.pid}.tmp`;
  const descriptor = openSync(beside, "w");
  try {
    writeAll(descriptor, headerBytes(entries, metadata));
    for (const [, tensor] of entries) writeAll(descriptor, tensor.toBytes());
    fsyncSync(descriptor);
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
  syncFolder(dirname(path));
}

function headerBytes(
  entries: readonly (readonly [string, Tensor])[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const header: Record<string, unknown> = Object.keys(metadata).length > 0 ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const [name, tensor] of entries) {
    const end = offset + tensor.nbytes;
    header[name] = {
      dtype: typeName(tensor.dtype as DType),
      shape: tensor.shape,
      data_offsets: [offset, end],
    };
    offset = end;
  }
  const text = Buffer.from(JSON.stringify(header), "utf8");
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = Buffer.alloc(8 + padded, " ");
  bytes.writeBigUInt64LE(BigInt(padded));
  text.copy(bytes, 8);
  return bytes;
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) written += writeSync(descriptor, bytes, written);
}

/** A rename is durable only after its folder is flushed too. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
