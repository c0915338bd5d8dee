/** The limit of cached CPU memory: computed from the container's limit, and respected. */
import { expect, test } from "vitest";
import { emptyCache, memoryStats, zeros } from "../index.ts";
import { native } from "./binding.ts";
import { cacheLimitOf } from "./runtime.ts";

const gib = 2 ** 30;
const usual = cacheLimitOf({ total: 8 * gib, constrained: 0 });

test("a quarter is kept: of the machine's memory, or of the container's where that is less", () => {
  expect(cacheLimitOf({ total: 256 * gib, constrained: 4 * gib })).toBe(gib);
  expect(cacheLimitOf({ total: 16 * gib, constrained: 64 * gib })).toBe(4 * gib);
  // What Node returns without a limit, and where the limit is unknown.
  expect(cacheLimitOf({ total: 16 * gib, constrained: 18446744073709552000 })).toBe(4 * gib);
  expect(cacheLimitOf({ total: 16 * gib, constrained: 0 })).toBe(4 * gib);
});

test("freed blocks of ever new sizes stay below the limit, a block above it goes back at once", () => {
  const cached = () => memoryStats("cpu")!.cachedBytes;
  const limit = 1 << 20;
  native.setCacheLimit(limit);
  for (let size = 1; size <= 40; size++) {
    zeros([size * 1000]).free();
    expect(cached()).toBeLessThanOrEqual(limit);
  }
  emptyCache();
  zeros([limit]).free();
  expect(cached()).toBe(0);
});

test("a lower limit gives back at once what is kept above it", () => {
  native.setCacheLimit(usual);
  zeros([1 << 20]).free();
  expect(memoryStats("cpu")!.cachedBytes).toBeGreaterThanOrEqual(4 << 20);
  native.setCacheLimit(1 << 20);
  expect(memoryStats("cpu")!.cachedBytes).toBe(0);
});
