/**
 * New tensors: constants, ranges, random numbers, and data from JavaScript.
 */
import * as aten from "../addon/aten.generated.ts";
import { native } from "../addon/binding.ts";
import { type DType, dtypeCode, type TensorOptions } from "../tensor/dtype.ts";
import type { Generator } from "../tensor/generator.ts";
import { scope } from "../tensor/scope.ts";
import { type Tensor, wrap } from "../tensor/tensor.ts";

type Nested = number | readonly Nested[];
type Data =
  | Nested
  | Float32Array
  | Float64Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint8ClampedArray;
type Shape = readonly number[];
type RandomOptions = TensorOptions & { readonly generator?: Generator | undefined };

/**
 * Makes a tensor from numbers, nested arrays or a typed array (copied). Plain numbers become float32 unless a dtype is
 * given. A typed array keeps its own type and has one axis.
 *
 * @throws RangeError when nested arrays are ragged
 */
export function tensor(data: Data, options: TensorOptions = {}): Tensor {
  if (ArrayBuffer.isView(data)) {
    return scope(() => wrap(native.fromBytes(data, [data.length], dtypeCode(typeOf(data)))).to(options));
  }
  const shape: number[] = [];
  const values: number[] = [];
  flattenInto(data, 0, shape, values);
  const dtype = options.dtype ?? "float32";
  const isWide = dtype === "int64";
  const bytes = isWide ? BigInt64Array.from(values, BigInt) : Float64Array.from(values);
  return scope(() => {
    const raw = wrap(native.fromBytes(bytes, shape, dtypeCode(isWide ? "int64" : "float64")));
    return raw.to({ dtype, device: options.device ?? "cpu" });
  });
}

function typeOf(data: ArrayBufferView): DType {
  if (data instanceof Float32Array) return "float32";
  if (data instanceof Float64Array) return "float64";
  if (data instanceof Int32Array) return "int32";
  if (data instanceof BigInt64Array) return "int64";
  return "uint8";
}

function flattenInto(data: Nested, depth: number, shape: number[], values: number[]): void {
  if (typeof data === "number") {
    if (depth !== shape.length) throw new RangeError(`tensor: ragged array, got a number at depth ${depth}`);
    values.push(data);
    return;
  }
  if (shape.length === depth && values.length === 0) shape.push(data.length);
  if (shape[depth] !== data.length) {
    throw new RangeError(
      `tensor: ragged array, got ${data.length} items at depth ${depth}, expected ${shape[depth]}`,
    );
  }
  for (const item of data) flattenInto(item, depth + 1, shape, values);
}

export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return aten.zeros(shape, options.dtype ?? "float32", undefined, options.device);
}

export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return aten.ones(shape, options.dtype ?? "float32", undefined, options.device);
}

export function full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  return aten.full(shape, value, options.dtype ?? "float32", undefined, options.device);
}

export function zerosLike(like: Tensor): Tensor {
  return aten.zeros_like(like);
}

/** `[start, end)` in steps; int64 unless a dtype is given. */
export function arange(start: number, end: number, step = 1, options: TensorOptions = {}): Tensor {
  return aten.arange_start_step(start, end, step, options.dtype ?? "int64", undefined, options.device);
}

/**
 * `steps` values from `start` to `end`, both included.
 *
 * @internal for tests
 */
export function linspace(start: number, end: number, steps: number, options: TensorOptions = {}): Tensor {
  return aten.linspace(start, end, steps, options.dtype ?? "float32", undefined, options.device);
}

/**
 * Normal numbers with mean 0 and deviation 1. With a CPU generator the numbers are drawn on the CPU and then moved, so a
 * seed gives the same numbers on every device.
 */
export function randn(shape: Shape, options: RandomOptions = {}): Tensor {
  return scope(() => aten.randn_generator(shape, ...drawArguments(options)).to(options));
}

/** Uniform numbers in [0, 1). */
export function rand(shape: Shape, options: RandomOptions = {}): Tensor {
  return scope(() => aten.rand_generator(shape, ...drawArguments(options)).to(options));
}

export function randnLike(
  like: Tensor,
  options: { readonly generator?: Generator | undefined } = {},
): Tensor {
  return randn(like.shape, { dtype: like.dtype, device: like.device, generator: options.generator });
}

/** A random order of 0 … size-1, int64. */
export function randperm(size: number, options: RandomOptions = {}): Tensor {
  return aten.randperm_generator(
    size,
    options.generator,
    "int64",
    undefined,
    options.generator?.device ?? "cpu",
  );
}

function drawArguments(
  options: RandomOptions,
): [Generator | undefined, DType, undefined, TensorOptions["device"]] {
  const device = options.generator?.device ?? options.device ?? "cpu";
  return [options.generator, options.dtype ?? "float32", undefined, device];
}
