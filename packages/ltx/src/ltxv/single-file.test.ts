/** Lightricks' single files: names against diffusers' converter, and what a file is. */
import { readFileSync } from "node:fs";
import { noGrad, Parameters, type Tensor } from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { gridOf } from "../latent-grid.ts";
import { expectClose } from "../testing/expect-close.ts";
import { Fixture, fixturePath } from "../testing/fixture.ts";
import { shapesOnly, sourceOf } from "../testing/source.ts";
import {
  ltxv2bTransformer,
  ltxv13bTransformer,
  ltxv090Scheduler,
  ltxv095Scheduler,
  ltxvCompression,
  parseTransformerConfig,
} from "./config.ts";
import { originalTransformerKey, transformerKeyFromOriginal } from "./key-names.ts";
import {
  recogniseFile,
  transformerSource,
  type VaeVersion,
  vaeKeyFromOriginal,
  vaeSource,
} from "./single-file.ts";
import { Transformer } from "./transformer/transformer.ts";
import { parseVaeConfig } from "./vae/config.ts";
import { Vae } from "./vae/vae.ts";

type Names = Record<string, string>;
type NameTable = { dropped: string[]; transformer: Names; v090: Names; v091: Names; v095: Names };

const table = JSON.parse(readFileSync(fixturePath("original/names.json"), "utf8")) as NameTable;
const fileVersions = [
  ["v090", "0.9.0"],
  ["v091", "0.9.1"],
  ["v095", "0.9.5"],
] as const;

describe("names of Lightricks' files", () => {
  test("transformer: exactly diffusers', there and back", () => {
    for (const [original, ours] of Object.entries(table.transformer)) {
      const bare = original.replace("model.diffusion_model.", "");
      expect(transformerKeyFromOriginal(bare)).toBe(ours);
      expect(originalTransformerKey(ours)).toBe(bare);
    }
  });

  test.each(fileVersions)("VAE %s: exactly diffusers'", (name, version) => {
    for (const [original, ours] of Object.entries(table[name])) {
      expect(vaeKeyFromOriginal(original.replace("vae.", ""), version)).toBe(ours);
    }
    for (const dropped of table.dropped) {
      expect(vaeKeyFromOriginal(dropped.replace("vae.", ""), version), dropped).toBeUndefined();
    }
  });

  test("a block the version does not have is refused", () => {
    const key = "decoder.up_blocks.12.res_blocks.0.conv1.conv.weight";
    expect(() => vaeKeyFromOriginal(key, "0.9.5")).toThrow(/got block 12, expected below 9/);
  });
});

/**
 * The stored names of a VAE. The last down block of 0.9.0 and 0.9.1 is number 8 in the original row (diffusers'
 * `convert_ltx_to_diffusers.py`); a stored table without it gets it here.
 */
function vaeNames(version: "v090" | "v091" | "v095", fixture: Fixture): Names {
  const names = { ...table[version] };
  const known = new Set(Object.values(names));
  for (const key of fixture.names("weights.")) {
    const original = key.replace("encoder.down_blocks.3.resnets.", "vae.encoder.down_blocks.8.res_blocks.");
    if (!known.has(key) && original !== key) names[original] = key;
  }
  return names;
}

/** One file with a transformer and a VAE in it, the way Lightricks publishes them. */
function singleFile(vae: "v090" | "v091" | "v095") {
  const [transformerFixture, vaeFixture] = [new Fixture("transformer/t_a"), new Fixture(`vae/${vae}`)];
  const tensors = new Map<string, Tensor>();
  for (const [original, ours] of Object.entries(table.transformer)) {
    const key = `weights.${ours}`;
    if (transformerFixture.has(key)) tensors.set(original, transformerFixture.tensor(key));
  }
  for (const [original, ours] of Object.entries(vaeNames(vae, vaeFixture)))
    tensors.set(original, vaeFixture.tensor(`weights.${ours}`));
  for (const name of table.dropped) tensors.set(name, vaeFixture.tensor("weights.latents_mean"));
  return { source: sourceOf(tensors), transformerFixture, vaeFixture };
}

describe.each(fileVersions)("a single file with VAE %s", (name, version) => {
  const { source, transformerFixture, vaeFixture } = singleFile(name);

  test("is recognised", () => {
    const facts = recogniseFile(source);
    expect(facts).toMatchObject({
      kind: "checkpoint",
      layout: "original",
      vae: version,
      causalTime: version === "0.9.5",
    });
  });

  test("gives every weight of the VAE, and no other", () => {
    const p = Parameters.from(vaeSource(source, version as VaeVersion), { dtype: "float32" });
    const vae = new Vae(p, parseVaeConfig(vaeFixture.config));
    expect(() => p.finish("vae")).not.toThrow();
    vae.parameters.free();
  });

  test("gives a transformer that answers like the reference", () => {
    const p = Parameters.from(transformerSource(source), { dtype: "float32" });
    const model = new Transformer(p, parseTransformerConfig(transformerFixture.config));
    p.finish("transformer");
    const output = noGrad(() =>
      model.forward({
        tokens_BTC: transformerFixture.tensor("in.hidden_states"),
        text_BLD: transformerFixture.tensor("in.encoder_hidden_states"),
        timestep_BT: transformerFixture.tensor("in.timestep_scalar"),
        grid: gridOf({ F: 3, H: 2, W: 3 }, ltxvCompression),
        frameRate: 25,
      }),
    );
    const why = "float32 sums in another order, two blocks deep (ltx-model.md 9.3, model)";
    const reference = transformerFixture.tensor("out.scalar.output");
    expectClose(`single file ${name}`, output, reference, { abs: 5e-5, why });
    model.free();
  });
});

describe("what a released file is", () => {
  const transformer = (width: number, layers: number) => ({
    "model.diffusion_model.patchify_proj.weight": [width, 128],
    "model.diffusion_model.proj_out.weight": [128, width],
    "model.diffusion_model.caption_projection.linear_1.weight": [width, 4096],
    [`model.diffusion_model.transformer_blocks.${layers - 1}.scale_shift_table`]: [6, width],
  });
  const oldVae = { "vae.encoder.conv_out.conv.weight": [129, 512, 3, 3, 3] };
  const newVae = { "vae.encoder.conv_out.conv.weight": [129, 2048, 3, 3, 3] };
  const embedder = { "vae.decoder.last_time_embedder.timestep_embedder.linear_1.weight": [256, 256] };

  test("2B 0.9.0: no causal time, dynamic shift", () => {
    expect(recogniseFile(shapesOnly({ ...transformer(2048, 28), ...oldVae }))).toEqual({
      kind: "checkpoint",
      layout: "original",
      transformer: ltxv2bTransformer,
      vae: "0.9.0",
      causalTime: false,
      scheduler: ltxv090Scheduler,
      allowedSigmas: undefined,
    });
  });

  test("2B 0.9.1: the decoder takes a timestep", () => {
    const facts = recogniseFile(shapesOnly({ ...transformer(2048, 28), ...oldVae, ...embedder }));
    expect(facts).toMatchObject({ vae: "0.9.1", causalTime: false });
  });

  test("13B 0.9.8 distilled: causal time, its own noise levels", () => {
    const config = {
      transformer: { causal_temporal_positioning: true },
      allowed_inference_steps: [1, 0.9937],
    };
    const metadata = { config: JSON.stringify(config) };
    const facts = recogniseFile(shapesOnly({ ...transformer(4096, 48), ...newVae, ...embedder }, metadata));
    expect(facts).toMatchObject({
      transformer: ltxv13bTransformer,
      vae: "0.9.5",
      causalTime: true,
      scheduler: ltxv095Scheduler,
      allowedSigmas: [1, 0.9937],
    });
  });

  test("a transformer alone, in diffusers' names", () => {
    const shapes = { "proj_in.weight": [2048, 128], "transformer_blocks.27.scale_shift_table": [6, 2048] };
    expect(recogniseFile(shapesOnly(shapes))).toMatchObject({
      layout: "diffusers",
      vae: undefined,
      causalTime: false,
    });
  });

  test.each(["transformer", "diffusion_model"] as const)("a LoRA with prefix %s", (prefix) => {
    const shapes = { [`${prefix}.transformer_blocks.0.attn1.to_q.lora_A.weight`]: [32, 2048] };
    expect(recogniseFile(shapesOnly(shapes))).toEqual({ kind: "lora", prefix });
  });

  test("something else", () => {
    expect(recogniseFile(shapesOnly({ "unet.weight": [1] }))).toMatchObject({ kind: "unknown" });
  });
});
