import { describe, expect, test } from "vitest";
import {
  backwardThrough,
  checkpoint,
  Generator,
  grad,
  keep,
  noGrad,
  randn,
  scope,
  type Tensor,
  tensor,
} from "../index.ts";

describe("gradients", () => {
  test("of x squared are two x", () => {
    const x = tensor([1, -2, 3]).requiresGrad_();
    x.square().sum().backward();
    expect(x.grad?.toArray()).toEqual([2, -4, 6]);
  });

  test("grad leaves .grad alone and answers undefined for what does not matter", () => {
    const x = tensor([2]).requiresGrad_();
    const y = tensor([5]).requiresGrad_();
    const [dx, dy] = grad([x.mul(x)], [x, y], undefined, { allowUnused: true });
    expect(dx?.toArray()).toEqual([4]);
    expect(dy).toBeUndefined();
    expect(x.grad).toBeUndefined();
  });

  test("noGrad records nothing and is undone even by an exception", () => {
    const x = tensor([1]).requiresGrad_();
    expect(noGrad(() => x.mul(2)).requiresGrad).toBe(false);
    expect(() =>
      noGrad(() => {
        throw new Error("on the way");
      }),
    ).toThrow("on the way");
    expect(x.mul(2).requiresGrad).toBe(true);
  });

  test("freeing intermediate handles does not break the backward pass", () => {
    const x = tensor([3]).requiresGrad_();
    const loss = scope(() => x.mul(x).mul(x).sum());
    loss.backward();
    expect(x.grad?.toArray()).toEqual([27]);
  });
});

describe("checkpointed blocks", () => {
  const generator = new Generator(11);
  const leaf = (shape: number[]) => keep(randn(shape, { generator }).mul(0.5)).requiresGrad_();
  const weights = [leaf([6, 6]), leaf([6, 6]), leaf([6, 6])];
  const embed = leaf([6, 6]);
  const input = keep(randn([4, 6], { generator }));

  const block = (weight: Tensor) => (x: Tensor, shift: Tensor) => x.add(x.matmul(weight).tanh()).add(shift);

  /** A stack of blocks that share a conditioning tensor, which has a graph of its own, as AdaLN does. */
  function loss(run: (body: (...inputs: Tensor[]) => Tensor, inputs: Tensor[]) => Tensor): Tensor {
    const shift = input.mean(0, true).matmul(embed).silu();
    let x: Tensor = input.matmul(embed);
    for (const weight of weights) x = run(block(weight) as (...inputs: Tensor[]) => Tensor, [x, shift]);
    return x.mul(shift).square().mean();
  }

  const gradients = () => [...weights, embed].map((weight) => weight.grad?.toArray());
  const clear = () => {
    for (const weight of [...weights, embed]) weight.grad = undefined;
  };

  test("give the gradients of the plain computation", () => {
    clear();
    const plain = scope(() => {
      const value = loss((body, inputs) => body(...inputs));
      value.backward();
      return value.item();
    });
    const expected = gradients();
    clear();
    const recomputed = scope(() => backwardThrough(() => loss(checkpoint)).item());
    expect(recomputed).toBe(plain);
    for (const [index, gradient] of gradients().entries()) {
      const wanted = expected[index] as number[];
      expect(gradient).toHaveLength(wanted.length);
      for (const [at, value] of (gradient as number[]).entries())
        expect(value).toBeCloseTo(wanted[at] as number, 6);
    }
  });

  test("outside a tape a checkpointed block is just called", () => {
    const x = tensor([2]).requiresGrad_();
    checkpoint((value) => value.mul(value), [x]).backward();
    expect(x.grad?.toArray()).toEqual([4]);
  });
});
