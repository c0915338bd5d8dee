/** For tests: the VAE's fixtures as models, and the comparisons that every device must pass. */
import {
  type DType,
  keep,
  noGrad,
  Parameters,
  type Tensor,
  type TensorSource,
  tensor,
} from "@ltx-trainer/torch";
import { expect } from "vitest";
import { ConfigFields } from "../config-fields.ts";
import type { NoiseSource } from "../ltxv/vae/blocks/resnet.ts";
import { parseVaeConfig } from "../ltxv/vae/config.ts";
import { patchify } from "../ltxv/vae/patchify.ts";
import { Vae } from "../ltxv/vae/vae.ts";
import { expectClose, expectRoundingOnly, type Tolerance } from "./expect-close.ts";
import type { Fixture } from "./fixture.ts";

/** Tolerances of float32 on a CPU. */
export const vaeTolerances = {
  deep: {
    abs: 1e-4,
    why: "float32 convolutions summed in another order, through at most 20 layers of values near 1",
  },
  pointwise: { abs: 1e-5, why: "a handful of float32 operations on values near 1" },
} satisfies Record<string, Tolerance>;

const exact = { abs: 0, why: "values are only moved" };

export type VaeCase = {
  times: Record<string, number[]>;
  row_step: number;
  column_step: number;
  compression: [number, number];
  variants: Record<string, { config: Record<string, unknown>; without: string[] }>;
};

/** The fixture's VAE, with some configuration fields changed and some weights left out. */
export function vaeOf(fixture: Fixture, change: Record<string, unknown> = {}, without: string[] = []): Vae {
  const json = { ...JSON.parse(fixture.file.metadata.config!), ...change };
  const all = fixture.source();
  const source: TensorSource = { ...all, names: () => all.names().filter((name) => !without.includes(name)) };
  const parameters = Parameters.from(source, { dtype: "float32", device: fixture.device });
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

/** A decode agrees stage by stage (clips store only their pixels), then in one go. */
export function checkDecode(
  fixture: Fixture,
  vae: Vae,
  { prefix, name }: { prefix: string; name: string },
  deep: Tolerance,
): void {
  const { times, row_step, column_step } = fixture.case<VaeCase>();
  const latents = fixture.tensor(`in.latents_${name}`);
  const check = (label: string, actual: Tensor): void => {
    expectClose(`${prefix} ${label}`, actual, fixture.tensor(`out.${prefix}.${label}`), deep);
  };
  const timestep = vae.config.timestepConditioning ? tensor(times[name]!, { device: vae.device }) : undefined;
  const pixels = vae.decode(latents, { timestep, noise: storedNoise(fixture, prefix) });
  if (name === "image") check("pixels", pixels);
  else check("pixels_stepped", pixels.slice(3, 0, undefined, row_step).slice(4, 0, undefined, column_step));
  if (name === "clip") return;
  const inputs = { timestep_B: vae.decoder.scaleTimestep(timestep), noise: storedNoise(fixture, prefix) };
  let x = vae.decoder.convIn.forward(latents);
  check("conv_in", x);
  x = vae.decoder.midBlock.forward(x, inputs);
  check("mid", x);
  for (const [i, block] of vae.decoder.upBlocks.entries()) {
    x = block.forward(x, inputs);
    check(`up${i}`, x);
  }
}

/** An encoding agrees stage by stage, then in one go, with the posterior and the statistics. */
export function checkEncode(
  fixture: Fixture,
  vae: Vae,
  name: string,
  { deep, pointwise }: { deep: Tolerance; pointwise: Tolerance },
): void {
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

/**
 * In bfloat16 every stage, latents and pixels are those of float32 but for as much rounding as the reference's.
 *
 * @param half the reference's bfloat16 answers, `base` the weights, which bfloat16 holds without loss
 * @param source weights to take instead of `base`'s
 */
export function checkHalfVae(base: Fixture, half: Fixture, source: TensorSource = base.source()): void {
  const stagesIn = (dtype: DType, weights: TensorSource): Map<string, Tensor> => {
    const parameters = Parameters.from(weights, { dtype, device: base.device });
    const stages = keep(noGrad(() => halfStages(new Vae(parameters, parseVaeConfig(half.config)), half)));
    parameters.free();
    return stages;
  };
  const [exact, rounded] = [stagesIn("float32", base.source()), stagesIn("bfloat16", source)];
  for (const [name, actual] of rounded) {
    const reference = half.tensor(`out.${name}`);
    expectRoundingOnly(`bf16 ${name}`, actual, { exact: exact.get(name)!, reference });
  }
}

/** Answers under the fixture's names for them. */
function halfStages(vae: Vae, half: Fixture): Map<string, Tensor> {
  const stages = new Map<string, Tensor>();
  const pixels = half.tensor("in.pixels_image").to("float32").div(127.5).sub(1);
  let x = vae.encoder.convIn.forward(patchify(pixels, vae.config.encoder.patchSize).to(vae.dtype));
  for (const [i, block] of vae.encoder.downBlocks.entries()) {
    x = block.forward(x);
    stages.set(`encode_image.down${i}`, x);
  }
  stages.set("encode_image.mid", vae.encoder.midBlock.forward(x));
  const { mean_BCFHW, logvar_B1FHW } = vae.encode(pixels);
  stages.set("encode_image.mean", mean_BCFHW);
  stages.set("encode_image.logvar", logvar_B1FHW.expand(mean_BCFHW.shape).contiguous());
  const latents = half.tensor("in.latents_image");
  const timestep = tensor(half.case<{ times: number[] }>().times, { device: vae.device });
  const inputs = { timestep_B: vae.decoder.scaleTimestep(timestep.to("bfloat16").to(vae.dtype)) };
  x = vae.decoder.midBlock.forward(vae.decoder.convIn.forward(latents.to(vae.dtype)), inputs);
  stages.set("decode_image.mid", x);
  for (const [i, block] of vae.decoder.upBlocks.entries()) {
    x = block.forward(x, inputs);
    stages.set(`decode_image.up${i}`, x);
  }
  return stages.set("decode_image.pixels", vae.decode(latents, { timestep }));
}
