/** For tests: tensors in memory as a source a model or a LoRA can be read from. */
import type { Tensor, TensorSource } from "@ltx-trainer/torch";

/** Optionally with the metadata a file would carry. */
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

/** A source of shapes alone, for what only looks at names and sizes. */
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
