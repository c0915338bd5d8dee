import { describe, expect, test } from "vitest";
import { AdamW, areFinite, clipGradNorm, linearDecay, type Tensor, tensor } from "../index.ts";

/** AdamW on one number, in double precision, written out from the paper. */
function referenceSteps(start: number, gradients: number[], lr: number, decay: number): number {
  let [weight, mean, square] = [start, 0, 0];
  for (const [index, gradient] of gradients.entries()) {
    const step = index + 1;
    weight *= 1 - lr * decay;
    mean = 0.9 * mean + 0.1 * gradient;
    square = 0.999 * square + 0.001 * gradient * gradient;
    weight -= (lr * (mean / (1 - 0.9 ** step))) / (Math.sqrt(square / (1 - 0.999 ** step)) + 1e-8);
  }
  return weight;
}

const named = (parameter: Tensor) => new Map([["weight", parameter]]);

describe("AdamW", () => {
  test("follows the paper's formula over several steps", () => {
    const gradients = [0.3, -0.7, 0.1, 2, -0.05];
    const weight = tensor([1.5]).requiresGrad_();
    const optimizer = new AdamW(named(weight), { lr: 0.01, weightDecay: 0.1 });
    for (const gradient of gradients) {
      weight.grad = tensor([gradient]);
      optimizer.step();
    }
    expect(weight.item()).toBeCloseTo(referenceSteps(1.5, gradients, 0.01, 0.1), 6);
  });

  test("leaves a parameter without a gradient alone", () => {
    const weight = tensor([1]).requiresGrad_();
    new AdamW(named(weight), { lr: 0.1 }).step();
    expect(weight.item()).toBe(1);
  });

  test("a restored state takes the very same next step", () => {
    const run = (steps: number, optimizer: AdamW, weight: Tensor) => {
      for (let step = 0; step < steps; step++) {
        weight.grad = weight.detach().mul(0.3).add(0.1);
        optimizer.step();
      }
    };
    const weight = tensor([1, -2]).requiresGrad_();
    const optimizer = new AdamW(named(weight), { lr: 0.05 });
    run(3, optimizer, weight);
    const copy = weight.detach().clone().requiresGrad_();
    const other = new AdamW(named(copy), { lr: 0.05 });
    const state = optimizer.state();
    other.loadState(
      { has: (name) => state.has(name), tensor: (name) => state.get(name) as Tensor },
      optimizer.stepCount,
    );
    run(2, optimizer, weight);
    run(2, other, copy);
    expect(copy.toArray()).toEqual(weight.toArray());
  });

  test("says which moment a damaged state lacks", () => {
    const optimizer = new AdamW(named(tensor([1])), { lr: 1 });
    const nothing = { has: () => false, tensor: () => tensor([0]) };
    expect(() => optimizer.loadState(nothing, 1)).toThrow("weight.exp_avg is missing");
  });

  test("a moment of another shape is refused, not spread over the parameter", () => {
    const optimizer = new AdamW(named(tensor([1, 2])), { lr: 1 });
    const state = { has: () => true, tensor: (name: string) => tensor(name.endsWith("sq") ? [5] : [5, 5]) };
    expect(() => optimizer.loadState(state, 1)).toThrow("weight.exp_avg_sq: got shape [1], expected [2]");
    expect(optimizer.state().get("weight.exp_avg")?.toArray()).toEqual([0, 0]);
  });
});

test("clipping scales all gradients by one factor and returns the norm before", () => {
  const [a, b] = [tensor([0, 0]).requiresGrad_(), tensor([0]).requiresGrad_()];
  a.grad = tensor([3, 0]);
  b.grad = tensor([4]);
  expect(clipGradNorm([a, b], 1)).toBeCloseTo(5, 6);
  expect(a.grad?.toArray()[0]).toBeCloseTo(0.6, 5);
  expect(b.grad?.item()).toBeCloseTo(0.8, 5);
  expect(clipGradNorm([a, b], 100)).toBeCloseTo(1, 5);
  expect(b.grad?.item()).toBeCloseTo(0.8, 5);
});

test.each([Number.POSITIVE_INFINITY, Number.NaN])("clipping leaves gradients with %s as they are", (bad) => {
  const [a, b] = [tensor([0, 0]).requiresGrad_(), tensor([0]).requiresGrad_()];
  a.grad = tensor([bad, 2]);
  b.grad = tensor([4]);
  expect(Number.isFinite(clipGradNorm([a, b], 1))).toBe(false);
  expect(a.grad?.toArray()).toEqual([bad, 2]);
  expect(b.grad?.item()).toBe(4);
});

test("one infinity or NaN among tensors of any shape is found", () => {
  const fine = [tensor([1, -1e38]), tensor(0), tensor([[1e-45]])];
  expect(areFinite(fine)).toBe(true);
  expect(areFinite([])).toBe(true);
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    expect(areFinite([...fine, tensor([0, bad])])).toBe(false);
  }
});

test("linear decay starts at one, ends at a tenth, and stays there", () => {
  expect([0, 5, 10, 12].map((step) => linearDecay(step, 10))).toEqual([
    1,
    0.55,
    expect.closeTo(0.1),
    expect.closeTo(0.1),
  ]);
});
