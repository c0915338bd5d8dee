/** The text encoder and the tokenizer against transformers and sentencepiece: see fixtures/README.md, t5, tokenizer. */
import { readFileSync } from "node:fs";
import { noGrad, type Tensor, tensor } from "@ltx-trainer/torch";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compare, expectClose } from "../../testing/expect-close.ts";
import { Fixture, fixturePath } from "../../testing/fixture.ts";
import {
  checkHalfT5,
  checkPositionBias,
  checkPrompts,
  checkStages,
  encoderOf,
  t5Tolerances,
} from "../../testing/t5-checks.ts";
import type { T5Encoder } from "./encoder.ts";
import { relativeBucket } from "./position-bias.ts";
import { T5Tokenizer } from "./tokenizer.ts";

describe("encoder", () => {
  let fixture: Fixture;
  let encoder: T5Encoder;
  beforeAll(() => {
    fixture = new Fixture("t5/t5_a");
    encoder = encoderOf(fixture);
  });
  afterAll(() => encoder.parameters.free());

  test("every distance falls into the reference's bucket", () => {
    const { relativeAttentionNumBuckets: buckets, relativeAttentionMaxDistance: maxDistance } =
      encoder.config;
    const found = relativeBucket(fixture.tensor("in.distances"), { buckets, maxDistance });
    expectClose("buckets", found, fixture.tensor("out.buckets"), { abs: 0, why: "whole numbers" });
    checkPositionBias(fixture, encoder);
  });

  test("prompts agree stage by stage", () => noGrad(() => checkStages(fixture, encoder, t5Tolerances)));

  test.each([7, 128, 256])("prompts of %i tokens agree with and without the mask", (length) => {
    noGrad(() => checkPrompts(fixture, encoder, length, t5Tolerances.whole));
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
    checkHalfT5(fixture, new Fixture("bf16/t5"));
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
