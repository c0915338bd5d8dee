/** Which frames become samples. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { planWindows } from "./windows.ts";

const all = { useAllFootage: true, mixedShapes: true, temporalCompression: 8 };

test("another temporal compression has windows of its own lengths", () => {
  const rules = { ...all, temporalCompression: 4 };
  expect(planWindows(30, 25, rules)).toEqual({
    windows: [
      { start: 0, frames: 25 },
      { start: 25, frames: 5 },
    ],
    unused: 0,
  });
});

test("cuts a long clip into consecutive full windows, and what is left into a shorter one", () => {
  expect(planWindows(100, 25, all)).toEqual({
    windows: [
      { start: 0, frames: 25 },
      { start: 25, frames: 25 },
      { start: 50, frames: 25 },
      { start: 75, frames: 25 },
    ],
    unused: 0,
  });
  expect(planWindows(45, 25, all)).toEqual({
    windows: [
      { start: 0, frames: 25 },
      { start: 25, frames: 17 },
    ],
    unused: 3,
  });
  expect(planWindows(30, 25, all)).toEqual({ windows: [{ start: 0, frames: 25 }], unused: 5 });
});

test("a clip shorter than a sample trains at the longest 8k + 1 that fits", () => {
  expect(planWindows(60, 81, all)).toEqual({ windows: [{ start: 0, frames: 57 }], unused: 3 });
  expect(planWindows(9, 81, all)).toEqual({ windows: [{ start: 0, frames: 9 }], unused: 0 });
});

test("says why a clip makes no sample", () => {
  expect(planWindows(8, 81, all)).toEqual({
    windows: [],
    unused: 8,
    reason: "too short: 8 frames, expected at least 9",
  });
  expect(planWindows(1, 81, all)).toMatchObject({ reason: "too short: 1 frame, expected at least 9" });
  expect(planWindows(80, 81, { ...all, mixedShapes: false })).toMatchObject({
    reason: "too short: 80 frames, expected 81",
  });
});

test("the first window only, when not all footage is wanted", () => {
  expect(planWindows(100, 25, { ...all, useAllFootage: false }).windows).toEqual([{ start: 0, frames: 25 }]);
});

test("windows never overlap, never leave a gap, and waste less than the shortest sample", () => {
  const counts = fc.record({ total: fc.integer({ min: 0, max: 5000 }), k: fc.integer({ min: 0, max: 32 }) });
  fc.assert(
    fc.property(counts, ({ total, k }) => {
      const wanted = 8 * k + 1;
      const { windows, unused } = planWindows(total, wanted, all);
      let next = 0;
      for (const { start, frames } of windows) {
        expect(start).toBe(next);
        expect(frames % 8).toBe(1);
        expect(frames).toBeLessThanOrEqual(wanted);
        next = start + frames;
      }
      expect(next + unused).toBe(total);
      // A full window fits no more; a shorter one of 8k + 1 frames leaves at most 7 frames, or a stub of under 9.
      expect(unused).toBeLessThan(Math.min(wanted, 9));
    }),
  );
});
