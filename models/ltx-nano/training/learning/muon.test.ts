/** Muon: the iteration on one matrix, convergence, and saved state. */
import { backward, Generator, noGrad, randn, scope, type Tensor, tensor } from "@ltx-trainer/torch";
import { expect, test } from "vitest";
import { Muon, orthogonalized } from "./muon.ts";

const generator = new Generator(3);

test.each([
  [8, 40],
  [40, 8],
  [16, 16],
])("a %i x %i matrix gets nearly equal singular values", (rows, columns) => {
  const matrix = randn([1, rows, columns], { generator });
  const x = orthogonalized(matrix).select(0, 0);
  const gram = rows <= columns ? x.matmul(x.transpose(0, 1)) : x.transpose(0, 1).matmul(x);
  const size = Math.min(rows, columns);
  const values = gram.toArray();
  for (let row = 0; row < size; row++) {
    // The iteration's own range of squared singular values, about 0.7 to 1.2 squared, with room.
    expect(values[row * size + row]).toBeGreaterThan(0.4);
    expect(values[row * size + row]).toBeLessThan(1.6);
  }
});

function quadratic(weight: Tensor, bias: Tensor, target: Tensor): Tensor {
  return weight.sub(target).square().sum().add(bias.sub(1).square().sum());
}

function trained(steps: number, resumeAt?: number): number[] {
  const draw = new Generator(5);
  const target = randn([12, 6], { generator: draw });
  let weight = randn([12, 6], { generator: draw }).requiresGrad_();
  let bias = tensor([0, 0, 0]).requiresGrad_();
  const fresh = () =>
    new Muon(
      new Map([
        ["weight", weight],
        ["bias", bias],
      ]),
      { lr: 0.05, weightDecay: 0 },
    );
  let optimizer = fresh();
  for (let step = 0; step < steps; step++) {
    if (step === resumeAt) {
      const state = new Map([...optimizer.state()].map(([name, value]) => [name, value.clone()]));
      weight = noGrad(() => weight.detach().clone()).requiresGrad_();
      bias = noGrad(() => bias.detach().clone()).requiresGrad_();
      optimizer = fresh();
      optimizer.loadState({ has: (name) => state.has(name), tensor: (name) => state.get(name)! }, step);
    }
    scope(() => {
      backward([quadratic(weight, bias, target)]);
      optimizer.step(0.05);
      optimizer.zeroGrad();
    });
  }
  return [noGrad(() => quadratic(weight, bias, target).item()), ...weight.toArray(), ...bias.toArray()];
}

test("steps lower a loss, matrices and vectors alike", () => {
  const [before] = trained(0);
  const [after] = trained(150);
  expect(after).toBeLessThan(0.15 * before!);
});

test("a run that is taken up again makes the same steps", () => {
  expect(trained(9, 4)).toEqual(trained(9));
});

test("a missing momentum is refused by name", () => {
  const weight = randn([2, 2], { generator }).requiresGrad_();
  const optimizer = new Muon(new Map([["weight", weight]]), { lr: 0.1, weightDecay: 0 });
  const nothing = { has: () => false, tensor: (): Tensor => weight };
  expect(() => optimizer.loadState(nothing, 1)).toThrow("weight.momentum is missing");
});
