import { Generator, liveTensors, Parameters, type TensorSource, tensor } from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { ConfigFields } from "../../config-fields.ts";
import { textEncoderSource } from "./checkpoint.ts";
import { parseT5Config, type T5Config, t5V11Xxl } from "./config.ts";
import { T5Encoder } from "./encoder.ts";

const tiny: T5Config = {
  ...t5V11Xxl,
  dModel: 8,
  dFf: 16,
  dKv: 4,
  numHeads: 2,
  numLayers: 2,
  vocabSize: 20,
};

const random = (dtype: "float32" | "float16" = "float32", trainable = false): T5Encoder =>
  new T5Encoder(Parameters.random({ generator: new Generator(3), dtype, trainable }), tiny);

describe("T5Encoder", () => {
  test("asks for the tensors of the released folder", () => {
    const names = [...random().parameters.all.keys()];
    expect(names).toHaveLength(3 + 9 * tiny.numLayers);
    expect(names).toContain("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
    expect(names).toContain("encoder.block.1.layer.1.DenseReluDense.wo.weight");
    expect(names).not.toContain("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight");
  });

  test("leaves no tensors behind", () => {
    const encoder = random();
    const ids = tensor([[4, 5, 1, 0]], { dtype: "int64" });
    const mask = tensor([[1, 1, 1, 0]], { dtype: "int64" });
    const before = liveTensors();
    encoder.forward(ids, mask).free();
    expect(liveTensors()).toBe(before);
  });

  test("gives a gradient to every weight", () => {
    const encoder = random("float32", true);
    encoder
      .forward(tensor([[4, 5, 1]], { dtype: "int64" }))
      .square()
      .sum()
      .backward();
    for (const [name, weight] of encoder.parameters.all) {
      expect(weight.grad?.abs().max().item(), name).toBeGreaterThan(0);
    }
  });

  test("refuses float16 and says what to use", () => {
    const ids = tensor([[4]], { dtype: "int64" });
    expect(() => random("float16").forward(ids)).toThrow(/got float16 weights, expected float32 or bfloat16/);
  });
});

describe("parseT5Config", () => {
  const json = { d_model: 8, d_ff: 16, d_kv: 4, num_heads: 2, num_layers: 2, vocab_size: 20 };

  test("fills what T5 v1.1 files leave out", () => {
    expect(parseT5Config(new ConfigFields({ ...json, feed_forward_proj: "gated-gelu" }, "t5"))).toEqual(tiny);
  });

  test("refuses the ungated T5 of 2019", () => {
    const fields = new ConfigFields({ ...json, feed_forward_proj: "relu" }, "t5");
    expect(() => parseT5Config(fields)).toThrow(/feed_forward_proj: got "relu", expected "gated-gelu"/);
  });
});

describe("textEncoderSource", () => {
  const source = (...names: string[]): TensorSource => ({
    names: () => names,
    has: (name) => names.includes(name),
    info: (name) => ({ dtype: "float32", shape: [names.indexOf(name)] }),
    tensor: () => tensor([0]),
  });

  test("finds the tied embedding under either name", () => {
    const tied = textEncoderSource(source("encoder.embed_tokens.weight", "encoder.final_layer_norm.weight"));
    expect(tied.names()).toEqual(["shared.weight", "encoder.final_layer_norm.weight"]);
    expect(tied.info("shared.weight").shape).toEqual([0]);
    const both = textEncoderSource(source("encoder.embed_tokens.weight", "shared.weight"));
    expect(both.names()).toEqual(["shared.weight"]);
    expect(both.info("shared.weight").shape).toEqual([1]);
  });

  test("leaves the decoder of a whole T5 out", () => {
    expect(textEncoderSource(source("shared.weight", "decoder.block.0.x", "lm_head.weight")).names()).toEqual(
      ["shared.weight"],
    );
  });
});
