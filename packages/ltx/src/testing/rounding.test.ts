/** The comparison that bfloat16 results are held to: it lets rounding pass and notices each of these defects. */
import {
  Generator,
  keep,
  Linear,
  RmsNorm,
  randn,
  scope,
  type Tensor,
  type TensorSource,
  where,
  zerosLike,
} from "@ltx-trainer/torch";
import { afterEach, describe, expect, test, vi } from "vitest";
import { expectRoundingOnly } from "./expect-close.ts";
import { Fixture } from "./fixture.ts";
import { checkHalfT5 } from "./t5-checks.ts";
import { checkHalf } from "./transformer-checks.ts";
import { checkHalfVae } from "./vae-checks.ts";

afterEach(() => vi.restoreAllMocks());

const models: Record<string, { weights: string; check: (fixture: Fixture, source: TensorSource) => void }> = {
  VAE: { weights: "vae/v095", check: (f, source) => checkHalfVae(f, new Fixture("bf16/vae"), source) },
  T5: { weights: "t5/t5_a", check: (f, source) => checkHalfT5(f, new Fixture("bf16/t5"), source) },
  transformer: {
    weights: "transformer/t_a",
    check: (f, source) => checkHalf(f, new Fixture("bf16/transformer"), "token", source),
  },
};

/** Checks a model with a defect in its weights. */
function checkWith(model: string, defect: (source: TensorSource) => TensorSource): void {
  const { weights, check } = models[model]!;
  const fixture = new Fixture(weights);
  check(fixture, defect(fixture.source()));
}

/** Weights whose names begin with `first` under names that begin with `second`, and the other way round. */
function exchange(source: TensorSource, first: string, second: string): TensorSource {
  const other = (name: string): string => {
    if (name.startsWith(first)) return second + name.slice(first.length);
    return name.startsWith(second) ? first + name.slice(second.length) : name;
  };
  return { ...source, tensor: (name) => source.tensor(other(name)) };
}

const tooFar = /times the reference's/;

test.each([
  ["VAE", "encoder.down_blocks.2.resnets.0.", "encoder.down_blocks.2.resnets.1."],
  ["VAE", "encoder.mid_block.resnets.0.conv1.", "encoder.mid_block.resnets.0.conv2."],
  ["VAE", "decoder.up_blocks.1.resnets.0.", "decoder.up_blocks.1.resnets.1."],
  ["T5", "encoder.block.0.layer.1.", "encoder.block.1.layer.1."],
  ["T5", "encoder.block.1.layer.0.SelfAttention.q.", "encoder.block.1.layer.0.SelfAttention.k."],
  ["transformer", "transformer_blocks.0.", "transformer_blocks.1."],
])("a %s with two layers in the wrong order is refused: %s", (model, first, second) => {
  expect(() => checkWith(model, (source) => exchange(source, first, second))).toThrow(tooFar);
});

test.each([
  ["T5", "encoder.block.1.layer.0.layer_norm.weight"],
  ["T5", "encoder.final_layer_norm.weight"],
])("a %s without the scale of one norm is refused: %s", (model, norm) => {
  const defect = (source: TensorSource): TensorSource => ({
    ...source,
    tensor: (name) => (name === norm ? zerosLike(source.tensor(name)).add(1) : source.tensor(name)),
  });
  expect(() => checkWith(model, defect)).toThrow(tooFar);
});

test("a transformer whose queries and keys are not normalised is refused", () => {
  vi.spyOn(RmsNorm.prototype, "forward").mockImplementation((x) => x.mul(1));
  expect(() => checkWith("transformer", (source) => source)).toThrow(tooFar);
});

test.each(["T5", "transformer"])("a %s that rounds its sums after every term is refused", (model) => {
  vi.spyOn(Linear.prototype, "forward").mockImplementation(function (this: Linear, x) {
    return scope(() => {
      const weight_IO = this.weight.transpose(0, 1);
      let sum = x.narrow(-1, 0, 1).mul(weight_IO.select(0, 0));
      for (let i = 1; i < this.inFeatures; i++) sum = sum.add(x.narrow(-1, i, 1).mul(weight_IO.select(0, i)));
      return this.bias ? sum.add(this.bias) : sum;
    });
  });
  expect(() => checkWith(model, (source) => source)).toThrow(tooFar);
});

describe("numbers alone", () => {
  const exact = keep(randn([4, 100], { generator: new Generator(1) }));
  const reference = keep(exact.to("bfloat16"));
  const compareTo = (actual: Tensor) => expectRoundingOnly("x", actual, { exact, reference });

  test("one rounding more than the reference's passes", () => {
    expect(() => compareTo(exact.mul(1.001).to("bfloat16"))).not.toThrow();
  });

  test.each([
    ["a shift of one in a hundred", (x: Tensor) => x.add(0.01).to("bfloat16")],
    ["a gain of one in fifty", (x: Tensor) => x.mul(1.02).to("bfloat16")],
    ["a NaN", (x: Tensor) => where(x.gt(2), x.neg().log(), x).to("bfloat16")],
    ["one element that is another's", (x: Tensor) => x.flip([1]).to("bfloat16")],
    ["another type", (x: Tensor) => x],
    ["another shape", (x: Tensor) => x.reshape([100, 4]).to("bfloat16")],
  ])("%s is refused", (_, defect) => {
    expect(() => compareTo(defect(exact))).toThrow();
  });
});
