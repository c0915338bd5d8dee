/** The transformer against diffusers: every form of its inputs, loss, gradients, recomputation, memory. */
import {
  cat,
  full,
  Generator,
  liveTensors,
  noGrad,
  Parameters,
  randn,
  scope,
  zeros,
} from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { gridOf, type LatentGrid } from "../../latent-grid.ts";
import { compare } from "../../testing/expect-close.ts";
import { Fixture } from "../../testing/fixture.ts";
import {
  checkForward,
  checkGradients,
  checkHalf,
  checkRecomputed,
  forwardsOf,
  inputsOf,
  transformerOf,
  transformerTolerances,
} from "../../testing/transformer-checks.ts";
import { ltxvCompression, parseTransformerConfig } from "../config.ts";
import { Transformer } from "./transformer.ts";

describe.each(["t_a", "t_b", "t_c"])("transformer %s", (name) => {
  const fixture = new Fixture(`transformer/${name}`);

  test.each(forwardsOf(fixture))("answers like the reference: %s", (forward) => {
    checkForward(fixture, forward, transformerTolerances.output);
  });

  test("has the reference's loss and gradients", () => checkGradients(fixture, transformerTolerances));
});

test("recomputed blocks give the same loss and gradients", () => {
  checkRecomputed(new Fixture("transformer/t_b"), transformerTolerances.recomputed);
});

test.each(["scalar", "token", "coords"])(
  "in bfloat16 answers like the reference in bfloat16: %s",
  (forward) => {
    const [base, half] = [new Fixture("transformer/t_a"), new Fixture("bf16/transformer")];
    checkHalf(base, half, forward);
  },
);

describe("timesteps", () => {
  const fixture = new Fixture("transformer/t_a");
  const grid = gridOf({ F: 3, H: 2, W: 3 }, ltxvCompression);
  const base = inputsOf(fixture, "scalar");

  test("given per latent frame answer like the same ones given per token", () => {
    const model = transformerOf(fixture);
    const frames_BF = cat([zeros([2, 1]), full([2, 2], 613.25)], 1);
    const tokens_BT = frames_BF.repeatInterleave(grid.H * grid.W, 1);
    const perFrame = noGrad(() => model.forward({ ...base, timestep_BT: frames_BF }));
    const perToken = noGrad(() => model.forward({ ...base, timestep_BT: tokens_BT }));
    expect(compare(perFrame, perToken).abs).toBeLessThan(1e-6);
    model.free();
  });

  test("that divide the tokens unevenly are refused", () => {
    const model = transformerOf(fixture);
    expect(() => model.forward({ ...base, timestep_BT: zeros([2, 4]) })).toThrow(
      /got \[2,4\].*G dividing 18 tokens/,
    );
    model.free();
  });
});

test("refuses tokens that do not fill the grid", () => {
  const fixture = new Fixture("transformer/t_a");
  const model = transformerOf(fixture);
  const inputs = { ...inputsOf(fixture, "scalar"), grid: gridOf({ F: 2, H: 2, W: 3 }, ltxvCompression) };
  expect(() => model.forward(inputs)).toThrow(/got 18 tokens, expected 12 for 2x2x3 cells/);
  expect(() => model.forward({ ...inputs, videos: 2 })).toThrow(/expected 24 for 2 videos of 2x2x3 cells/);
  model.free();
});

test("a forward pass leaves nothing behind but its answer and one cached position table", () => {
  const grid: LatentGrid = gridOf({ F: 2, H: 2, W: 2 }, ltxvCompression);
  const model = scope(() => {
    const p = Parameters.random({ generator: new Generator(1) });
    return new Transformer(p, parseTransformerConfig(new Fixture("transformer/t_c").config));
  });
  const step = () => {
    scope(() => {
      const inputs = {
        tokens_BTC: randn([1, 8, 8]),
        text_BLD: randn([1, 4, 24]),
        timestep_BT: full([1], 500),
      };
      noGrad(() => model.forward({ ...inputs, grid, frameRate: 25 }));
    });
    return liveTensors();
  };
  const afterFirst = step();
  for (let i = 0; i < 10; i++) step();
  expect(step()).toBe(afterFirst);
  model.free();
});
