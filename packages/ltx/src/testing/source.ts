/** For tests: sources of tensors in memory, from which models and LoRAs are loaded. */
import type { Tensor, TensorSource } from "@ltx-trainer/torch";

/** A source of given tensors, optionally with the metadata of a file. */
export function sourceOf(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): TensorSource & { readonly metadata: Readonly<Record<string, string>> } {
  const get = (name: string): Tensor => {
    const tensor = tensors.get(name);
    if (tensor === undefined)
      throw new RangeError(`source: got ${name}, expected one of ${tensors.size} names`);
    return tensor;
  };
  return {
    metadata,
    names: () => [...tensors.keys()],
    has: (name) => tensors.has(name),
    info: (name) => ({ dtype: get(name).dtype, shape: get(name).shape }),
    tensor: get,
  };
}

/** A source of shapes without values, for code that reads only names and sizes. */
export function shapesOnly(
  shapes: Readonly<Record<string, readonly number[]>>,
  metadata: Readonly<Record<string, string>> = {},
): TensorSource & { readonly metadata: Readonly<Record<string, string>> } {
  return {
    metadata,
    names: () => Object.keys(shapes),
    has: (name) => shapes[name] !== undefined,
    info: (name) => ({ dtype: "bfloat16", shape: shapes[name]! }),
    tensor: (name) => {
      throw new Error(`source: ${name} was read, expected only its shape to be asked for`);
    },
  };
}
