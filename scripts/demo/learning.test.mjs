import { expect, test } from "vitest";
import { compareThirds, describeLearning, readMetrics } from "./learning.mjs";

/** @param {[number, number][]} pairs of sigma and loss */
const steps = (pairs) => pairs.map(([sigma, loss], index) => ({ step: index + 1, sigma, loss }));

test("losses are compared at equal noise, so an easy end is not called learning", () => {
  // Nothing is learnt: 1 at low noise and 0.2 at high noise throughout; only the share of the levels shifts.
  const metrics = steps([
    [0.1, 1],
    [0.1, 1],
    [0.9, 0.2],
    [0.5, 0],
    [0.5, 0],
    [0.5, 0],
    [0.1, 1],
    [0.9, 0.2],
    [0.9, 0.2],
  ]);
  const compared = compareThirds(metrics);
  expect(compared?.first).toBeCloseTo(0.6, 12);
  expect(compared?.last).toBeCloseTo(0.6, 12);
});

test("says the fall and over how many steps", () => {
  const metrics = steps([
    [0.5, 0.8],
    [0.5, 0.4],
    [0.5, 0.6],
  ]);
  expect(describeLearning(metrics)).toMatch(/0\.800 -> 0\.600, 25 % less \(first 1 steps against the last 1/);
  expect(describeLearning(metrics.reverse())).toMatch(/0\.600 -> 0\.800, 33 % more/);
});

test("too few steps, or none at a shared level, are not judged", () => {
  expect(describeLearning(steps([[0.5, 1]]))).toMatch(/too few steps \(1\)/);
  expect(
    compareThirds(
      steps([
        [0.1, 1],
        [0.5, 1],
        [0.9, 1],
      ]),
    ),
  ).toBeUndefined();
});

test("reads the file a training writes", () => {
  expect(readMetrics('{"step":1,"loss":0.5,"sigma":0.2}\n{"step":2,"loss":0.4,"sigma":1}\n')).toHaveLength(2);
});
