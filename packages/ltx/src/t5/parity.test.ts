/** The text encoder and the tokenizer against transformers and sentencepiece: see fixtures/README.md, t5, tokenizer. */
import { readFileSync } from "node:fs";
import { noGrad, Parameters, type Tensor, tensor } from "@ltx-trainer/torch";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compare, expectClose } from "../testing/expect-close.ts";
import { Fixture, fixturePath } from "../testing/fixture.ts";
import { parseT5Config } from "./config.ts";
import { T5Encoder } from "./encoder.ts";
import { relativeBucket } from "./position-bias.ts";
import { T5Tokenizer } from "./tokenizer.ts";

describe("encoder", () => {
  const stage = { abs: 1e-5, why: "one block of float32 sums in another order" };
  const whole = { abs: 5e-5, why: "three blocks of float32 sums in another order, values up to 4" };
  const exact = { abs: 0, why: "whole numbers and table rows" };
  let fixture: Fixture;
  let encoder: T5Encoder;
  beforeAll(() => {
    fixture = new Fixture("t5/t5_a");
    encoder = fixture.model((p) => new T5Encoder(p, parseT5Config(fixture.config)));
  });
  afterAll(() => encoder.parameters.free());

  const maskOf = (label: string, length: number): Tensor | undefined =>
    label === "masked" ? fixture.tensor(`in.mask_${length}`) : undefined;

  test("every distance falls into the reference's bucket", () => {
    const { relativeAttentionNumBuckets: buckets, relativeAttentionMaxDistance: maxDistance } =
      encoder.config;
    const found = relativeBucket(fixture.tensor("in.distances"), { buckets, maxDistance });
    expectClose("buckets", found, fixture.tensor("out.buckets"), exact);
    expectClose("position bias", encoder.attentionBias(7), fixture.tensor("out.position_bias_7"), exact);
  });

  test.each(["masked", "unmasked"])("%s prompts agree stage by stage", (label) => {
    noGrad(() => {
      const check = (name: string, actual: Tensor, tolerance = stage): void => {
        expectClose(`${label} ${name}`, actual, fixture.tensor(`out.${label}_7.${name}`), tolerance);
      };
      const [first, ...others] = encoder.blocks;
      const bias = encoder.attentionBias(7, maskOf(label, 7));
      const embedded = encoder.embed(fixture.tensor("in.ids_7"));
      check("embedded", embedded, exact);
      check("block0.norm", first!.attentionNorm.forward(embedded));
      const attended = first!.afterAttention(embedded, bias);
      check("block0.after_attention", attended);
      let x = first!.feedForward(attended);
      check("block0.out", x);
      for (const block of others) x = block.forward(x, bias);
      check("block_last.out", x, whole);
    });
  });

  test.each([7, 128, 256])("prompts of %i tokens agree with and without the mask", (length) => {
    noGrad(() => {
      for (const label of ["masked", "unmasked"]) {
        const actual = encoder.forward(fixture.tensor(`in.ids_${length}`), maskOf(label, length));
        const reference = fixture.tensor(`out.${label}_${length}.last_hidden_state`);
        expectClose(`${label} ${length}`, actual, reference, whole);
      }
    });
  });

  test("hidden padding has no influence, seen padding has", () => {
    noGrad(() => {
      const ids = (padding: number): Tensor => tensor([[5, 9, 1, padding, padding]], { dtype: "int64" });
      const mask = tensor([[1, 1, 1, 0, 0]], { dtype: "int64" });
      const real = (text_BLD: Tensor): Tensor => text_BLD.narrow(1, 0, 3);
      const hidden = compare(real(encoder.forward(ids(0), mask)), real(encoder.forward(ids(7), mask)));
      const seen = compare(real(encoder.forward(ids(0))), real(encoder.forward(ids(7))));
      expect(hidden.abs).toBe(0);
      expect(seen.abs).toBeGreaterThan(0.01);
    });
  });

  test("bfloat16 weights give the reference's embeddings up to rounding", () => {
    const half = new Fixture("bf16/t5");
    const parameters = Parameters.from(fixture.source(), { dtype: "bfloat16" });
    const model = new T5Encoder(parameters, encoder.config);
    for (const label of ["masked", "unmasked"]) {
      const actual = noGrad(() => model.forward(fixture.tensor("in.ids_7"), maskOf(label, 7)));
      const reference = half.tensor(`out.${label}_7.last_hidden_state`);
      const why =
        "about four bfloat16 roundings of the largest value: each libtorch rounds sums in other places";
      expectClose(`bfloat16 ${label}`, actual, reference, { rel: 3e-2, why });
      expect(actual.dtype).toBe("bfloat16");
    }
    parameters.free();
  });
});

describe("tokenizer", () => {
  type Prompts = {
    prompts: { group: string; text: string; ids: number[] }[];
    padded: { text: string; max_length: number; ids: number[]; mask: number[] }[];
  };
  const { prompts, padded } = JSON.parse(
    readFileSync(fixturePath("tokenizer/prompts.json"), "utf8"),
  ) as Prompts;
  const tokenizer = T5Tokenizer.fromFolder(fixturePath("tokenizer"));

  test.each([...new Set(prompts.map((prompt) => prompt.group))])("ids are exact: %s", (group) => {
    for (const { text, ids } of prompts.filter((prompt) => prompt.group === group)) {
      // One place more than needed: a prompt that ends with two literal </s> would lose one when cut to length.
      expect({ text, ids: tokenizer.encode(text, ids.length + 1).ids }).toEqual({ text, ids: [...ids, 0] });
      expect({ text, tokens: tokenizer.count(text) }).toEqual({ text, tokens: ids.length });
    }
  });

  test("padding, truncation and mask are exact", () => {
    expect(padded.length).toBeGreaterThan(0);
    for (const { text, max_length, ids, mask } of padded) {
      expect({ text, ...tokenizer.encode(text, max_length) }).toEqual({ text, ids, mask });
    }
  });
});
