import { expect, test } from "vitest";
import { SampleOrder } from "./batches.ts";

const epoch = (order: SampleOrder, index: number, count: number) =>
  Array.from({ length: count }, (_, step) => order.at(index * count + step));

test("every sample comes once an epoch, in another order the next time", () => {
  const order = new SampleOrder(20, 7);
  const [first, second] = [epoch(order, 0, 20), epoch(order, 1, 20)];
  expect(first.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  expect(second.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  expect(second).not.toEqual(first);
});

test("a step's sample does not depend on how the step was reached", () => {
  const walked = new SampleOrder(11, 3);
  const walk = Array.from({ length: 40 }, (_, step) => walked.at(step));
  expect(new SampleOrder(11, 3).at(35)).toBe(walk[35]);
  expect(new SampleOrder(11, 4).at(35)).toBeTypeOf("number");
});

test("no samples are refused", () => {
  expect(() => new SampleOrder(0, 1)).toThrow(/got 0 samples/);
});
