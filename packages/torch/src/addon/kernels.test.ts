/** Products in bfloat16 are as exact on every processor: summed in float32, rounded at the end. */
import { describe, expect, test } from "vitest";
import {
  attention,
  conv2d,
  conv3d,
  Generator,
  keep,
  linear,
  noGrad,
  randn,
  scope,
  type Tensor,
} from "../index.ts";

/**
 * Relative L2 error of one rounding to bfloat16 is 0.0017, and an attention without a fused kernel rounds scores and
 * weights as well. Sums rounded after every term are off by 0.05 and more at these sizes.
 */
const fewRoundings = 0.012;

const draw = (seed: number, shape: readonly number[]): Tensor =>
  randn(shape, { generator: new Generator(seed) }).to("bfloat16");

const products: Record<string, { factors: readonly Tensor[]; make: (...factors: Tensor[]) => Tensor }> = keep(
  {
    linear: { factors: [draw(1, [40, 2048]), draw(2, [48, 2048]), draw(3, [48])], make: linear },
    matmul: { factors: [draw(4, [3, 32, 2048]), draw(5, [3, 2048, 24])], make: (a, b) => a.matmul(b) },
    conv2d: {
      factors: [draw(6, [1, 128, 12, 12]), draw(7, [24, 128, 3, 3]), draw(8, [24])],
      make: (x, w, b) => conv2d(x!, w!, b),
    },
    conv3d: {
      factors: [draw(9, [1, 96, 4, 8, 8]), draw(10, [24, 96, 3, 3, 3]), draw(11, [24])],
      make: (x, w, b) => conv3d(x!, w!, b),
    },
    attention: {
      factors: [12, 13, 14].map((seed) => draw(seed, [1, 2, 300, 32])),
      make: (q, k, v) => attention(q!, k!, v!),
    },
  },
);

function l2Error(actual: Tensor, exact: Tensor): number {
  return scope(() => actual.to("float32").sub(exact).norm().div(exact.norm()).item());
}

describe.each(Object.keys(products))("%s in bfloat16", (name) => {
  const { factors, make } = products[name]!;

  test("is float32's product but for a few roundings", () => {
    const [actual, exact] = noGrad(() => [make(...factors), make(...factors.map((x) => x.to("float32")))]);
    expect(actual!.dtype).toBe("bfloat16");
    expect(l2Error(actual!, exact!)).toBeLessThan(fewRoundings);
  });

  test("has float32's gradients but for a few roundings", () => {
    const [rounded, exact] = (["bfloat16", "float32"] as const).map((dtype) => {
      const leaves = factors.map((x) => x.clone().to(dtype).requiresGrad_());
      const out = make(...leaves);
      out.backward(draw(15, out.shape).to(dtype));
      return leaves.map((leaf) => leaf.grad!);
    });
    for (const [i, gradient] of rounded!.entries()) {
      expect(gradient.dtype).toBe("bfloat16");
      expect(l2Error(gradient, exact![i]!), `of factor ${i}`).toBeLessThan(fewRoundings);
    }
  });
});
