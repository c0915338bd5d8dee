/**
 * Element types and devices, under PyTorch's names.
 *
 * The codes are libtorch's `ScalarType` numbers. They are the same in every release that this binding supports.
 * Source: pytorch/pytorch c10/core/ScalarType.h.
 */
export type DType =
  | "uint8"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "float16"
  | "float32"
  | "float64"
  | "bool"
  | "bfloat16"
  | "float8_e5m2"
  | "float8_e4m3fn";

export type Device = "cpu" | "cuda" | `cuda:${number}`;

export type TensorOptions = { readonly dtype?: DType; readonly device?: Device };

type DTypeFacts = { readonly code: number; readonly bytes: number };

const facts: Readonly<Record<DType, DTypeFacts>> = {
  uint8: { code: 0, bytes: 1 },
  int8: { code: 1, bytes: 1 },
  int16: { code: 2, bytes: 2 },
  int32: { code: 3, bytes: 4 },
  int64: { code: 4, bytes: 8 },
  float16: { code: 5, bytes: 2 },
  float32: { code: 6, bytes: 4 },
  float64: { code: 7, bytes: 8 },
  bool: { code: 11, bytes: 1 },
  bfloat16: { code: 15, bytes: 2 },
  float8_e5m2: { code: 23, bytes: 1 },
  float8_e4m3fn: { code: 24, bytes: 1 },
};

const byCode = new Map<number, DType>();
for (const name of Object.keys(facts) as DType[]) byCode.set(facts[name].code, name);

export function dtypeCode(dtype: DType): number {
  return facts[dtype].code;
}

/** @throws RangeError for a type that this binding does not name (complex, quantised) */
export function dtypeFromCode(code: number): DType {
  const dtype = byCode.get(code);
  if (!dtype)
    throw new RangeError(`dtype: got ScalarType ${code}, expected one of ${Object.keys(facts).join(", ")}`);
  return dtype;
}

/** Bytes of one element. */
export function dtypeBytes(dtype: DType): number {
  return facts[dtype].bytes;
}

export function isDType(name: string): name is DType {
  return Object.hasOwn(facts, name);
}

/** Half-precision types, whose reductions and norms are computed in float32. */
export function isHalf(dtype: DType): boolean {
  return dtype === "bfloat16" || dtype === "float16";
}

/** @throws RangeError when the text is not the name of a device */
export function parseDevice(text: string): Device {
  if (text === "cpu" || text === "cuda" || /^cuda:\d+$/.test(text)) return text as Device;
  throw new RangeError(`device: got "${text}", expected "cpu", "cuda" or "cuda:<index>"`);
}
