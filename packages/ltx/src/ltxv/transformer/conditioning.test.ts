/** Timestep and caption embeddings against diffusers, and the modulation they steer. */
import { noGrad, randn, tensor, zeros } from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { compare, expectClose } from "../../testing/expect-close.ts";
import { Fixture } from "../../testing/fixture.ts";
import { parseTransformerConfig, transformerWidth } from "../config.ts";
import {
  addGated,
  CaptionProjection,
  modulate,
  TimeEmbedding,
  textBias,
  timestepSinusoid,
} from "./conditioning.ts";

const layerTolerance = {
  abs: 1e-5,
  why: "float32 sums of two linear layers in another order (ltx-model.md 9.3)",
};

describe.each(["t_a", "t_b", "t_c"])("time embedding of %s at 0, 1, 13, 421.9, 999 and 1000", (name) => {
  const fixture = new Fixture(`transformer/${name}`);
  const width = transformerWidth(parseTransformerConfig(fixture.config));
  const times = fixture.tensor("in.times");

  test("sinusoid", () => {
    // 1e-6 is out of reach: the reference's own exp is one ulp off at k = 12, which t = 1000 scales to 2.9e-5.
    const why = "one ulp of one frequency times t = 1000";
    const reference = fixture.tensor("out.times.sinusoid");
    expectClose(`transformer/${name} times sinusoid`, timestepSinusoid(times), reference, { abs: 3e-5, why });
  });

  test("embedding and modulation", () => {
    const p = fixture.parameters("weights.time_embed.");
    const { embedded_BGD, modulation_BG6D } = new TimeEmbedding(p, width).forward(
      times.unsqueeze(1),
      "float32",
    );
    const embedded = embedded_BGD.squeeze(1);
    const modulation = modulation_BG6D.flatten(1, 3);
    expectClose(
      `transformer/${name} times embedded`,
      embedded,
      fixture.tensor("out.times.embedded_timestep"),
      layerTolerance,
    );
    expectClose(
      `transformer/${name} times temb`,
      modulation,
      fixture.tensor("out.times.temb"),
      layerTolerance,
    );
  });
});

test("an integer timestep is embedded like the same float", () => {
  const whole = tensor([0, 13, 999], { dtype: "int64" });
  expect(compare(timestepSinusoid(whole), timestepSinusoid(whole.to("float32"))).abs).toBe(0);
});

test("captions are projected like the reference's", () => {
  const fixture = new Fixture("transformer/t_a");
  const projection = new CaptionProjection(fixture.parameters("weights.caption_projection."), 24, 32);
  const projected = noGrad(() => projection.forward(fixture.tensor("in.encoder_hidden_states")));
  expectClose("transformer/t_a captions", projected, fixture.tensor("out.token.captions"), layerTolerance);
});

test("padding gets -10000, which bfloat16 rounds to -9984", () => {
  const mask_BL = tensor([[1, 0]], { dtype: "int64" });
  expect(textBias(mask_BL, "float32").toArray()).toEqual([-0, -10_000]);
  expect(textBias(mask_BL, "bfloat16").toArray()).toEqual([-0, -9984]);
});

test("modulation of groups covers consecutive tokens", () => {
  const x_BTD = randn([1, 4, 2]);
  const scale_BGD = tensor([
    [
      [1, 1],
      [3, 3],
    ],
  ]);
  const shift_BGD = tensor([
    [
      [0, 0],
      [10, 10],
    ],
  ]);
  const [a, b, c, d] = x_BTD.unbind(1).map((row) => row.toFloat32Array()) as Float32Array[];
  const expected = [
    a!.map((v) => v * 2),
    b!.map((v) => v * 2),
    c!.map((v) => v * 4 + 10),
    d!.map((v) => v * 4 + 10),
  ];
  expect(modulate(x_BTD, scale_BGD, shift_BGD).toArray()).toEqual(expected.flatMap((row) => [...row]));
});

test("a closed gate lets nothing through", () => {
  const x_BTD = randn([1, 4, 2]);
  expect(compare(addGated(x_BTD, randn([1, 4, 2]), zeros([1, 2, 2])), x_BTD).abs).toBe(0);
});
