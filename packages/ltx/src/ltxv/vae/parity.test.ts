/** The VAE against diffusers on stored tensors, stage by stage: see fixtures/README.md, vae. */
import { noGrad } from "@ltx-trainer/torch";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectClose } from "../../testing/expect-close.ts";
import { Fixture } from "../../testing/fixture.ts";
import {
  checkDecode,
  checkEncode,
  checkHalfVae,
  type VaeCase,
  vaeOf,
  vaeTolerances,
} from "../../testing/vae-checks.ts";
import type { Vae } from "./vae.ts";

// v091 has the encoder of v090, so one encoding shows that its file is read right.
const encoded = {
  v090: ["image", "clip"],
  v091: ["image"],
  v095: ["image", "clip", "long"],
  shallow: ["image", "clip"],
};

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
      const { compression } = fixture.case<VaeCase>();
      expect([vae.temporalCompression, vae.spatialCompression]).toEqual(compression);
    });

    test.each(names)("encodes %s", (name) => {
      noGrad(() => checkEncode(fixture, vae, name, vaeTolerances));
    });

    test("denormalises", () => {
      const raw = vae.denormalize(fixture.tensor("in.latents_image"));
      expectClose(
        `${version} denormalized`,
        raw,
        fixture.tensor("out.denormalized_image"),
        vaeTolerances.pointwise,
      );
    });

    test.each(["image", "clip", "long"])("decodes %s", (name) => {
      noGrad(() => checkDecode(fixture, vae, { prefix: `decode_${name}`, name }, vaeTolerances.deep));
    });
  });
}

test.each(["image", "long"])("a causal decoder decodes %s", (name) => {
  const fixture = new Fixture("vae/v090");
  const { config } = fixture.case<VaeCase>().variants.causal_decode!;
  const vae = vaeOf(fixture, config);
  noGrad(() => checkDecode(fixture, vae, { prefix: `causal_decode_${name}`, name }, vaeTolerances.deep));
  vae.parameters.free();
});

test.each(["image", "clip"])("residual upsamplers without a decode timestep decode %s", (name) => {
  const fixture = new Fixture("vae/v095");
  const { config, without } = fixture.case<VaeCase>().variants.unconditioned_decode!;
  const vae = vaeOf(fixture, config, without);
  noGrad(() =>
    checkDecode(fixture, vae, { prefix: `unconditioned_decode_${name}`, name }, vaeTolerances.deep),
  );
  vae.parameters.free();
});

test("bfloat16 weights give the reference's latents and pixels up to rounding", () => {
  checkHalfVae(new Fixture("vae/v095"), new Fixture("bf16/vae"));
});
