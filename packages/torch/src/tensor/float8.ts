/**
 * 8-bit floats for libtorch releases that lack them: a table of their 256 values.
 *
 * Source: Micikevicius et al., arXiv:2209.05433. E4M3 ("fn") has no infinities, E5M2 follows IEEE 754.
 */
import { native } from "../addon/binding.ts";
import { tensor } from "../ops/create.ts";
import { type DType, dtypeCode } from "./dtype.ts";
import { keep } from "./scope.ts";
import type { Tensor } from "./tensor.ts";

type Float8 = "float8_e4m3fn" | "float8_e5m2";

export function isFloat8(dtype: DType): dtype is Float8 {
  return dtype === "float8_e4m3fn" || dtype === "float8_e5m2";
}

/** Whether this libtorch supports the type itself. */
export function float8IsNative(): boolean {
  return native.knowsDType(dtypeCode("float8_e4m3fn"));
}

const layouts = {
  float8_e4m3fn: { exponentBits: 4, mantissaBits: 3, hasInfinity: false },
  float8_e5m2: { exponentBits: 5, mantissaBits: 2, hasInfinity: true },
} as const;

/** The value of one byte. */
export function float8Value(byte: number, dtype: Float8): number {
  const { exponentBits, mantissaBits, hasInfinity } = layouts[dtype];
  const sign = byte & 0x80 ? -1 : 1;
  const exponent = (byte & 0x7f) >> mantissaBits;
  const mantissa = byte & ((1 << mantissaBits) - 1);
  const highest = (1 << exponentBits) - 1;
  const bias = (1 << (exponentBits - 1)) - 1;
  if (exponent === highest && hasInfinity) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === highest && mantissa === (1 << mantissaBits) - 1) return NaN;
  if (exponent === 0) return (sign * mantissa * 2 ** (1 - bias)) / (1 << mantissaBits);
  return sign * (1 + mantissa / (1 << mantissaBits)) * 2 ** (exponent - bias);
}

const tables = new Map<Float8, Tensor>();

/** Float32 values of uint8 bytes that hold 8-bit floats. */
export function decodeFloat8(bytes: Tensor, dtype: Float8): Tensor {
  let table = tables.get(dtype);
  if (!table) {
    table = keep(tensor(Float32Array.from({ length: 256 }, (_, byte) => float8Value(byte, dtype))));
    tables.set(dtype, table);
  }
  return table.indexSelect(0, bytes.flatten().to("int64")).reshape(bytes.shape);
}
