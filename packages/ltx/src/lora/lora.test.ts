/** A LoRA on the model against peft: on, off, merged, fresh. */
import { type DType, Generator, liveTensors, noGrad, type Tensor } from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { gridOf } from "../latent-grid.ts";
import { ltxv2bTransformer, ltxvCompression, parseTransformerConfig } from "../ltxv/config.ts";
import { attentionTargets, feedForwardTargets } from "../ltxv/lora-targets.ts";
import { Transformer } from "../ltxv/transformer/transformer.ts";
import { compare, cosine, expectClose } from "../testing/expect-close.ts";
import { Fixture, fixturePath } from "../testing/fixture.ts";
import { injectLora } from "./lora.ts";
import { loadLora } from "./lora-file.ts";

const outputTolerance = {
  abs: 5e-5,
  why: "float32 sums in another order, two blocks deep (ltx-model.md 9.3, model)",
};
const mergedTolerance = {
  abs: 1e-5,
  why: "a float32 product of rank 4 summed in another order (ltx-model.md 9.3, LoRA)",
};

const fixture = new Fixture("lora/reference");
const plainFile = fixturePath("lora/diffusers.safetensors");

function modelOf(dtype: DType = "float32"): Transformer {
  return fixture.model((p) => new Transformer(p, parseTransformerConfig(fixture.config)), { dtype });
}

function forward(model: Transformer): Tensor {
  return model.forward({
    tokens_BTC: fixture.tensor("in.hidden_states"),
    text_BLD: fixture.tensor("in.encoder_hidden_states"),
    textMask_BL: fixture.tensor("in.encoder_attention_mask"),
    timestep_BT: fixture.tensor("in.timestep_token"),
    grid: gridOf({ F: 3, H: 2, W: 3 }, ltxvCompression),
    frameRate: 24,
  });
}

const outputOf = (model: Transformer): Tensor => noGrad(() => forward(model));

describe("a LoRA on a model", () => {
  test("answers like peft's, on, off and merged", () => {
    const model = modelOf();
    expectClose("lora base", outputOf(model), fixture.tensor("out.base.output"), outputTolerance);
    const { lora } = loadLora(model, plainFile);
    expectClose("lora on", outputOf(model), fixture.tensor("out.lora.output"), outputTolerance);
    lora.setEnabled(false);
    expectClose("lora off", outputOf(model), fixture.tensor("out.base.output"), outputTolerance);
    lora.setEnabled(true);
    lora.merge();
    for (const key of fixture.names("out.merged.").filter((name) => name.endsWith(".weight"))) {
      const merged = model.parameters.all.get(key)!;
      expectClose(`lora merged ${key}`, merged, fixture.tensor(`out.merged.${key}`), mergedTolerance);
    }
    expectClose("lora merged", outputOf(model), fixture.tensor("out.merged.output"), outputTolerance);
    model.free();
  });

  test("unmerged leaves the weights as they were, to the bit", () => {
    const model = modelOf();
    const { lora } = loadLora(model, plainFile);
    const before = outputOf(model);
    lora.merge();
    expect(() => lora.setEnabled(true)).toThrow(/merged into the weights. Unmerge it first/);
    lora.unmerge();
    for (const [key, weight] of model.parameters.all) {
      expect(compare(weight, fixture.tensor(`weights.${key}`)).abs, key).toBe(0);
    }
    expect(compare(outputOf(model), before).abs).toBe(0);
    model.free();
  });

  test("removed is gone, and so is its memory", () => {
    const model = modelOf();
    const before = liveTensors();
    const { lora } = loadLora(model, plainFile);
    lora.merge();
    lora.remove();
    expect(liveTensors()).toBe(before);
    expectClose("lora removed", outputOf(model), fixture.tensor("out.base.output"), outputTolerance);
    model.free();
  });
});

describe("a fresh LoRA", () => {
  const options = { rank: 3, generator: new Generator(7) };

  test("sits on every projection of both attentions, in the model's order", () => {
    const model = modelOf();
    const lora = injectLora(model, options);
    const names = ["to_q", "to_k", "to_v", "to_out.0"];
    const layers = [0, 1].flatMap((block) =>
      [1, 2].map((attention) => `transformer_blocks.${block}.attn${attention}`),
    );
    expect([...lora.modules.keys()]).toEqual(
      layers.flatMap((layer) => names.map((name) => `${layer}.${name}`)),
    );
    model.free();
  });

  test("changes nothing, because B is zero, and can be trained", () => {
    const model = modelOf();
    const before = outputOf(model);
    const lora = injectLora(model, { ...options, targets: [...attentionTargets, ...feedForwardTargets] });
    expect(compare(outputOf(model), before).abs).toBe(0);
    expect(lora.parameters().size).toBe(2 * 10 * 2);
    for (const parameter of lora.parameters().values()) expect(parameter.requiresGrad).toBe(true);
    expect([...model.parameters.all.values()].some((weight) => weight.requiresGrad)).toBe(false);
    model.free();
  });

  test("is the same for the same seed, and A keeps to +-1/sqrt(inputs)", () => {
    const [first, second] = [1, 1].map((seed) => {
      const model = modelOf();
      const lora = injectLora(model, { rank: 64, generator: new Generator(seed) });
      return [...lora.parameters().values()].map((parameter) => parameter.toArray());
    }) as [number[][], number[][]];
    expect(first).toEqual(second);
    const a = first[0]!;
    const bound = 1 / Math.sqrt(16);
    expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(bound);
    const deviation = Math.sqrt(a.reduce((sum, value) => sum + value * value, 0) / a.length);
    expect(deviation).toBeCloseTo(bound / Math.sqrt(3), 2); // a uniform distribution's
  });

  test("spreads like peft's", () => {
    const { init } = fixture.case<{ init: { inputs: number; max: number; std: number } }>();
    const bound = 1 / Math.sqrt(init.inputs);
    expect(init.max).toBeLessThanOrEqual(bound);
    expect(init.max / bound).toBeGreaterThan(0.999);
    expect(init.std).toBeCloseTo(bound / Math.sqrt(3), 4);
    expect(ltxv2bTransformer.crossAttentionDim).toBe(init.inputs);
  });

  test("refuses targets the model does not have, and a second LoRA", () => {
    const model = modelOf();
    expect(() => injectLora(model, { ...options, targets: ["to_q", "to_z"] })).toThrow(
      /got to_z, expected endings/,
    );
    expect(() => injectLora(model, { ...options, rank: 0 })).toThrow(/rank: got 0/);
    injectLora(model, options);
    expect(() => injectLora(model, options)).toThrow(/already has an adapter/);
    model.free();
  });
});

describe("a float32 LoRA on a bfloat16 model", () => {
  test("leaves the output's type alone", () => {
    const model = modelOf("bfloat16");
    loadLora(model, plainFile, { dtype: "float32" });
    const output = outputOf(model);
    expect(output.dtype).toBe("bfloat16");
    const why =
      "products of a bfloat16 model, adapters included, are rounded to 8 bits (ltx-model.md 9.3, bf16)";
    expectClose("lora float32 on bfloat16", output, fixture.tensor("out.lora.output"), { rel: 3e-2, why });
    model.free();
  });

  test("collects float32 gradients, close to those of a float32 model", () => {
    const [exact, rounded] = (["float32", "bfloat16"] as const).map((dtype) => {
      const model = modelOf(dtype);
      const { lora } = loadLora(model, plainFile, { dtype: "float32", trainable: true });
      forward(model).to("float32").square().mean().backward();
      const gradients = [...lora.parameters()].map(([name, parameter]) => [name, parameter.grad!] as const);
      model.free();
      return new Map(gradients);
    }) as [Map<string, Tensor>, Map<string, Tensor>];
    for (const [name, gradient] of rounded) {
      expect(gradient.dtype).toBe("float32");
      // Queries of cross-attention have the smallest gradients, and so the noisiest: 0.998 there, elsewhere above 0.999.
      expect(cosine(gradient, exact.get(name)!), name).toBeGreaterThan(0.99);
    }
  });
});
