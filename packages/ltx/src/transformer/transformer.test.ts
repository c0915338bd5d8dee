/** The transformer against diffusers: every form of its inputs, loss, gradients, recomputation, memory. */
import {
  backwardThrough,
  cat,
  full,
  Generator,
  keep,
  liveTensors,
  noGrad,
  Parameters,
  randn,
  scope,
  type Tensor,
  zeros,
} from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { parseTransformerConfig } from "../config.ts";
import { gridOf, type LatentGrid } from "../latent-grid.ts";
import { compare, expectClose } from "../testing/expect-close.ts";
import { Fixture } from "../testing/fixture.ts";
import { Transformer, type TransformerInputs } from "./transformer.ts";

const OUTPUT = { abs: 5e-5, why: "float32 sums in another order, two blocks deep (ltx-model.md 9.3, model)" };
const GRADIENT = { rel: 1e-4, why: "float32 sums in another order, forward and backward (ltx-model.md 9.3)" };

type Forward = {
  timestep: string;
  masked: boolean;
  coords: "grid" | "video_coords";
  fps: number;
  hidden_states: string;
};
type Case = { forwards: Record<string, Forward>; clip_grid: Size; image_grid: Size };
type Size = [number, number, number];

function modelOf(fixture: Fixture, o: { trainable?: boolean } = {}): Transformer {
  return fixture.model((p) => new Transformer(p, parseTransformerConfig(fixture.config)), o);
}

function inputsOf(fixture: Fixture, name: string): TransformerInputs {
  const { forwards, clip_grid, image_grid } = fixture.case<Case>();
  const asked = forwards[name]!;
  const [F, H, W] = asked.hidden_states === "in.hidden_states" ? clip_grid : image_grid;
  return {
    tokens_BTC: fixture.tensor(asked.hidden_states),
    text_BLD: fixture.tensor("in.encoder_hidden_states"),
    textMask_BL: asked.masked ? fixture.tensor("in.encoder_attention_mask") : undefined,
    timestep_BT: fixture.tensor(asked.timestep),
    grid: gridOf({ F, H, W }),
    frameRate: asked.fps,
    coords_B3T: asked.coords === "video_coords" ? fixture.tensor("in.video_coords") : undefined,
  };
}

describe.each(["t_a", "t_b", "t_c"])("transformer %s", (name) => {
  const fixture = new Fixture(`transformer/${name}`);
  const forwards = Object.keys(fixture.case<Case>().forwards);

  test.each(forwards)("answers like the reference: %s", (forward) => {
    const model = modelOf(fixture);
    const output = noGrad(() => model.forward(inputsOf(fixture, forward)));
    expectClose(`transformer/${name} ${forward}`, output, fixture.tensor(`out.${forward}.output`), OUTPUT);
    model.free();
  });

  test("has the reference's loss and gradients", () => {
    const model = modelOf(fixture, { trainable: true });
    const tokens_BTC = fixture.tensor("in.hidden_states").clone().requiresGrad_();
    const text_BLD = fixture.tensor("in.encoder_hidden_states").clone().requiresGrad_();
    const inputs = { ...inputsOf(fixture, "token"), tokens_BTC, text_BLD };
    const loss = model.forward(inputs).sub(fixture.tensor("in.target")).square().mean();
    loss.backward();
    expectClose(`transformer/${name} loss`, loss, fixture.tensor("out.loss"), {
      rel: 1e-5,
      why: "ltx-model.md 9.3",
    });
    const inputGradients: Record<string, Tensor> = {
      hidden_states: tokens_BTC,
      encoder_hidden_states: text_BLD,
    };
    for (const key of fixture.names("grad.")) {
      const leaf = key.startsWith("in.") ? inputGradients[key.slice(3)]! : model.parameters.all.get(key)!;
      expectClose(`transformer/${name} grad ${key}`, leaf.grad!, fixture.tensor(`grad.${key}`), GRADIENT);
    }
    model.free();
  });
});

describe("recomputed blocks", () => {
  const fixture = new Fixture("transformer/t_b");

  test("give the same loss and gradients", () => {
    const [kept, recomputed] = [false, true].map((checkpointBlocks) => {
      const model = modelOf(fixture, { trainable: true });
      const loss = scope(() =>
        backwardThrough(() => {
          const output = model.forward({ ...inputsOf(fixture, "token"), checkpointBlocks });
          return output.sub(fixture.tensor("in.target")).square().mean();
        }),
      );
      const found = keep(
        new Map([...model.parameters.all].map(([key, weight]) => [key, weight.grad!.clone()])),
      );
      model.free();
      return found.set("loss", loss);
    }) as [Map<string, Tensor>, Map<string, Tensor>];
    for (const [key, gradient] of kept) {
      const why = "the text's gradient is summed over the blocks in another order";
      expectClose(`recomputed ${key}`, recomputed.get(key)!, gradient, { rel: 1e-5, why });
    }
  });
});

describe("timesteps", () => {
  const fixture = new Fixture("transformer/t_a");
  const grid = gridOf({ F: 3, H: 2, W: 3 });
  const base = inputsOf(fixture, "scalar");

  test("given per latent frame answer like the same ones given per token", () => {
    const model = modelOf(fixture);
    const frames_BF = cat([zeros([2, 1]), full([2, 2], 613.25)], 1);
    const tokens_BT = frames_BF.repeatInterleave(grid.H * grid.W, 1);
    const perFrame = noGrad(() => model.forward({ ...base, timestep_BT: frames_BF }));
    const perToken = noGrad(() => model.forward({ ...base, timestep_BT: tokens_BT }));
    expect(compare(perFrame, perToken).abs).toBeLessThan(1e-6);
    model.free();
  });

  test("that divide the tokens unevenly are refused", () => {
    const model = modelOf(fixture);
    expect(() => model.forward({ ...base, timestep_BT: zeros([2, 4]) })).toThrow(
      /got \[2,4\].*G dividing 18 tokens/,
    );
    model.free();
  });
});

test("refuses tokens that do not fill the grid", () => {
  const fixture = new Fixture("transformer/t_a");
  const model = modelOf(fixture);
  const inputs = { ...inputsOf(fixture, "scalar"), grid: gridOf({ F: 2, H: 2, W: 3 }) };
  expect(() => model.forward(inputs)).toThrow(/got 18 tokens, expected 12 for 2x2x3 cells/);
  model.free();
});

test("a forward pass leaves nothing behind but its answer and one cached position table", () => {
  const grid: LatentGrid = gridOf({ F: 2, H: 2, W: 2 });
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
