/** The VAE on a GPU against the fixtures the CPU is held to. */
import { noGrad } from "@ltx-trainer/torch";
import { test } from "vitest";
import { Fixture } from "../../testing/fixture.ts";
import { describeOnGpu, onGpu, testDevice } from "../../testing/gpu.ts";
import {
  checkDecode,
  checkEncode,
  checkHalfVae,
  type VaeCase,
  vaeOf,
  vaeTolerances,
} from "../../testing/vae-checks.ts";

const deep = onGpu(vaeTolerances.deep);
const pointwise = onGpu(vaeTolerances.pointwise);
const fixtureOn = (name: string) => new Fixture(name, testDevice);

describeOnGpu("VAE", () => {
  test.each([
    ["v090", ["image", "clip"]],
    ["v091", ["image"]],
    ["v095", ["image", "clip", "long"]],
  ])("%s encodes and decodes like the reference", (version, encoded) => {
    const fixture = fixtureOn(`vae/${version}`);
    const vae = vaeOf(fixture);
    noGrad(() => {
      for (const name of encoded) checkEncode(fixture, vae, name, { deep, pointwise });
      for (const name of ["image", "clip", "long"])
        checkDecode(fixture, vae, { prefix: `decode_${name}`, name }, deep);
    });
    vae.parameters.free();
  });

  test("a causal decoder decodes like the reference", () => {
    const fixture = fixtureOn("vae/v090");
    const vae = vaeOf(fixture, fixture.case<VaeCase>().variants.causal_decode!.config);
    noGrad(() => checkDecode(fixture, vae, { prefix: "causal_decode_long", name: "long" }, deep));
    vae.parameters.free();
  });

  test("in bfloat16 it gives the reference's latents and pixels up to rounding", () => {
    checkHalfVae(fixtureOn("vae/v095"), fixtureOn("bf16/vae"));
  });
});
