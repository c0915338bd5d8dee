/** Handles: the addon refuses numbers that are not handles, and freed values leave the tables. */
import { describe, expect, test } from "vitest";
import { native, resolve } from "../addon/binding.ts";
import { Generator, rand, tensor } from "../index.ts";

const nothing = [Number.NaN, Number.POSITIVE_INFINITY, -1, 0, 0.5, 2 ** 24 + 0.5, 2 ** 53, 2 ** 60, 1e300];

describe("a number that was never given out", () => {
  test.each(nothing)("%d is refused as a tensor", (handle) => {
    expect(() => resolve("neg", "")(handle)).toThrow(/argument 'self': this tensor was freed/);
    expect(native.isLive(handle)).toBe(false);
    expect(() => native.free(handle)).not.toThrow();
  });

  test.each(nothing)("%d is refused as a generator, an event and an open file", (handle) => {
    expect(() => native.generatorState(handle)).toThrow(/this generator was freed/);
    expect(() => native.elapsedMilliseconds(handle, handle)).toThrow(/unknown event/);
    expect(() => native.mappedTensor(handle, 0, [1], 6)).toThrow(/the file was closed/);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 1e300])(
    "%d is refused where a whole number is expected",
    (value) => {
      expect(() => native.setNumThreads(value)).toThrow(/expected an integer/);
      expect(() => native.fromBytes(new Uint8Array(4), [1], value)).toThrow(/expected an integer/);
      expect(() => tensor([1]).narrow(0, value, 1)).toThrow(/argument 'start'.*expected an integer/s);
    },
  );
});

test("freeing many handles refuses anything but a Float64Array and a count within it", () => {
  const untyped = native.freeAll as (handles: unknown, count: number) => void;
  for (const handles of [undefined, [1, 2], new Float32Array(2), new ArrayBuffer(16)])
    expect(() => untyped(handles, 1)).toThrow(/expected a Float64Array of handles/);
  for (const count of [-1, 3, Number.NaN])
    expect(() => untyped(new Float64Array(2), count)).toThrow(/expected/);
});

describe("generators", () => {
  test("free gives the place back, a second call does nothing, and drawing says what is wrong", () => {
    const before = native.liveGenerators();
    for (let i = 0; i < 1000; i++) new Generator(i).free();
    expect(native.liveGenerators()).toBe(before);
    const generator = new Generator(1);
    generator.free();
    const next = new Generator(2);
    generator.free();
    expect(() => rand([1], { generator })).toThrow(/argument 'generator': this generator was freed/);
    expect(rand([1], { generator: next }).toArray()).toEqual(
      rand([1], { generator: new Generator(2) }).toArray(),
    );
  });
});
