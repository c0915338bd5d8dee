/** The VAE against diffusers on stored tensors, stage by stage: see fixtures/README.md, vae. */
import { noGrad, Parameters, type Tensor, type TensorSource, tensor } from "@ltx-trainer/torch";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigFields } from "../config-fields.ts";
import { expectClose } from "../testing/expect-close.ts";
import { Fixture } from "../testing/fixture.ts";
import { parseVaeConfig } from "./config.ts";
import { patchify } from "./patchify.ts";
import type { NoiseSource } from "./resnet.ts";
import { Vae } from "./vae.ts";

const deep = {
  abs: 1e-4,
  why: "float32 convolutions summed in another order, through at most 20 layers of values near 1",
};
const pointwise = { abs: 1e-5, why: "a handful of float32 operations on values near 1" };
const exact = { abs: 0, why: "values are only moved" };

type Case = {
  times: Record<string, number[]>;
  row_step: number;
  column_step: number;
  compression: [number, number];
  variants: Record<string, { config: Record<string, unknown>; without: string[] }>;
};

/** The fixture's VAE, with some configuration fields changed and some weights left out. */
function vaeOf(fixture: Fixture, change: Record<string, unknown> = {}, without: string[] = []): Vae {
  const json = { ...JSON.parse(fixture.file.metadata.config!), ...change };
  const all = fixture.source();
  const source: TensorSource = { ...all, names: () => all.names().filter((name) => !without.includes(name)) };
  const parameters = Parameters.from(source, { dtype: "float32" });
  const vae = new Vae(parameters, parseVaeConfig(new ConfigFields(json, "fixture")));
  parameters.finish("fixture");
  return vae;
}

function storedNoise(fixture: Fixture, prefix: string): NoiseSource {
  let next = 0;
  return (height, width) => {
    const noise = fixture.tensor(`in.${prefix}.noise${next++}`);
    expect(noise.shape, `size of injected noise ${next - 1}`).toEqual([height, width]);
    return noise;
  };
}

/** A decode stage by stage (clips store only their pixels), then in one go. */
function checkDecode(fixture: Fixture, vae: Vae, prefix: string, name: string): void {
  const { times, row_step, column_step } = fixture.case<Case>();
  const latents = fixture.tensor(`in.latents_${name}`);
  const check = (label: string, actual: Tensor): void => {
    expectClose(`${prefix} ${label}`, actual, fixture.tensor(`out.${prefix}.${label}`), deep);
  };
  const timestep = vae.config.timestepConditioning ? tensor(times[name]!) : undefined;
  const pixels = vae.decode(latents, { timestep, noise: storedNoise(fixture, prefix) });
  if (name === "image") check("pixels", pixels);
  else check("pixels_stepped", pixels.slice(3, 0, undefined, row_step).slice(4, 0, undefined, column_step));
  if (name === "clip") return;
  const inputs = { timestep_B: vae.decoder.scaledTimestep(timestep), noise: storedNoise(fixture, prefix) };
  let x = vae.decoder.convIn.forward(latents);
  check("conv_in", x);
  x = vae.decoder.midBlock.forward(x, inputs);
  check("mid", x);
  for (const [i, block] of vae.decoder.upBlocks.entries()) {
    x = block.forward(x, inputs);
    check(`up${i}`, x);
  }
}

/** An encoding stage by stage, then in one go, with the posterior and the statistics. */
function checkEncode(fixture: Fixture, vae: Vae, name: string): void {
  const expected = (label: string): Tensor => fixture.tensor(`out.encode_${name}.${label}`);
  const check = (label: string, actual: Tensor, tolerance = deep): void => {
    expectClose(`encode_${name} ${label}`, actual, expected(label), tolerance);
  };
  const pixels = fixture.tensor(`in.pixels_${name}`).to("float32").div(127.5).sub(1);
  const patches = patchify(pixels, vae.config.encoder.patchSize);
  let x = vae.encoder.convIn.forward(patches);
  if (fixture.has(`out.encode_${name}.patchify`)) {
    check("patchify", patches, exact);
    check("conv_in", x);
  }
  for (const [i, block] of vae.encoder.downBlocks.entries()) {
    x = block.forward(x);
    check(`down${i}`, x);
  }
  check("mid", vae.encoder.midBlock.forward(x));
  const posterior = vae.encode(pixels);
  const { mean_BCFHW, logvar_B1FHW } = posterior;
  check("mean", mean_BCFHW);
  check("logvar", logvar_B1FHW.expand(mean_BCFHW.shape));
  const noise = fixture.tensor(`in.posterior_noise_${name}`);
  check("sample", vae.sample(posterior, { noise }));
  check("normalized_sample", vae.normalize(expected("sample")), pointwise);
}

// v091 has the encoder of v090, so one encoding shows that its file is read right.
const encoded = { v090: ["image", "clip"], v091: ["image"], v095: ["image", "clip", "long"] };

for (const [version, names] of Object.entries(encoded)) {
  describe(version, () => {
    let fixture: Fixture;
    let vae: Vae;
    beforeAll(() => {
      fixture = new Fixture(`vae/${version}`);
      vae = vaeOf(fixture);
    });
    afterAll(() => vae.parameters.free());

    test("compression ratios follow from the blocks", () => {
      const { compression } = fixture.case<Case>();
      expect([vae.temporalCompression, vae.spatialCompression]).toEqual(compression);
    });

    test.each(names)("encodes %s", (name) => {
      noGrad(() => checkEncode(fixture, vae, name));
    });

    test("denormalises", () => {
      const raw = vae.denormalize(fixture.tensor("in.latents_image"));
      expectClose(`${version} denormalized`, raw, fixture.tensor("out.denormalized_image"), pointwise);
    });

    test.each(["image", "clip", "long"])("decodes %s", (name) => {
      noGrad(() => checkDecode(fixture, vae, `decode_${name}`, name));
    });
  });
}

test.each(["image", "long"])("a causal decoder decodes %s", (name) => {
  const fixture = new Fixture("vae/v090");
  const { config } = fixture.case<Case>().variants.causal_decode!;
  const vae = vaeOf(fixture, config);
  noGrad(() => checkDecode(fixture, vae, `causal_decode_${name}`, name));
  vae.parameters.free();
});

test.each(["image", "clip"])("residual upsamplers without a decode timestep decode %s", (name) => {
  const fixture = new Fixture("vae/v095");
  const { config, without } = fixture.case<Case>().variants.unconditioned_decode!;
  const vae = vaeOf(fixture, config, without);
  noGrad(() => checkDecode(fixture, vae, `unconditioned_decode_${name}`, name));
  vae.parameters.free();
});

test("bfloat16 weights give the reference's latents and pixels up to rounding", () => {
  const rounding = { rel: 4e-2, why: "some bfloat16 roundings (2^-9 each) through about ten layers" };
  const half = new Fixture("bf16/vae");
  const vae = new Vae(
    Parameters.from(new Fixture("vae/v095").source(), { dtype: "bfloat16" }),
    parseVaeConfig(half.config),
  );
  noGrad(() => {
    const pixels = half.tensor("in.pixels_image").to("float32").div(127.5).sub(1);
    const { mean_BCFHW, logvar_B1FHW } = vae.encode(pixels);
    expect(mean_BCFHW.dtype).toBe("bfloat16");
    expectClose("bf16 mean", mean_BCFHW, half.tensor("out.encode_image.mean"), rounding);
    const logvar = logvar_B1FHW.expand(mean_BCFHW.shape);
    expectClose("bf16 logvar", logvar, half.tensor("out.encode_image.logvar"), rounding);
    const timestep = tensor(half.case<{ times: number[] }>().times);
    const decoded = vae.decode(half.tensor("in.latents_image"), { timestep });
    expectClose("bf16 pixels", decoded, half.tensor("out.decode_image.pixels"), rounding);
  });
  vae.parameters.free();
});
