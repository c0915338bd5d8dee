import { expect, test } from "vitest";
import { tensor } from "../index.ts";
import { decodeFloat8, float8Value } from "./float8.ts";

test("E4M3 reaches 448 and has no infinities", () => {
  expect(float8Value(0x7e, "float8_e4m3fn")).toBe(448);
  expect(float8Value(0x7f, "float8_e4m3fn")).toBeNaN();
  expect(float8Value(0x08, "float8_e4m3fn")).toBe(2 ** -6);
  expect(float8Value(0x01, "float8_e4m3fn")).toBe(2 ** -9);
});

test("E5M2 reaches 57344 and then infinity", () => {
  expect(float8Value(0x7b, "float8_e5m2")).toBe(57344);
  expect(float8Value(0x7c, "float8_e5m2")).toBe(Infinity);
  expect(float8Value(0xfc, "float8_e5m2")).toBe(-Infinity);
  expect(float8Value(0x7d, "float8_e5m2")).toBeNaN();
});

test("the table gives a tensor of bytes its values", () => {
  const bytes = tensor(new Uint8Array([0x38, 0xc0])).reshape([1, 2]);
  const decoded = decodeFloat8(bytes, "float8_e4m3fn");
  expect(decoded.shape).toEqual([1, 2]);
  expect(decoded.toArray()).toEqual([1, -2]);
});
