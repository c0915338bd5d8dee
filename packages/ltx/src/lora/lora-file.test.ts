/** LoRA files: those of diffusers and ComfyUI read, ours written, wrong ones refused. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Generator, noGrad, SafetensorsFile, type Tensor, tensor, zeros } from "@ltx-trainer/torch";
import { afterAll, describe, expect, test } from "vitest";
import { gridOf } from "../latent-grid.ts";
import { ltxvCompression, parseTransformerConfig } from "../ltxv/config.ts";
import { Transformer } from "../ltxv/transformer/transformer.ts";
import { compare, expectClose } from "../testing/expect-close.ts";
import { Fixture, fixturePath } from "../testing/fixture.ts";
import { sourceOf } from "../testing/source.ts";
import { injectLora } from "./lora.ts";
import { exportLora, loadLora, saveLora } from "./lora-file.ts";

const outputTolerance = {
  abs: 5e-5,
  why: "float32 sums in another order, two blocks deep (ltx-model.md 9.3, model)",
};

const fixture = new Fixture("lora/reference");
const folder = mkdtempSync(join(tmpdir(), "lora-"));
afterAll(() => rmSync(folder, { recursive: true }));

function modelOf(): Transformer {
  return fixture.model((p) => new Transformer(p, parseTransformerConfig(fixture.config)));
}

function outputOf(model: Transformer): Tensor {
  return noGrad(() =>
    model.forward({
      tokens_BTC: fixture.tensor("in.hidden_states"),
      text_BLD: fixture.tensor("in.encoder_hidden_states"),
      textMask_BL: fixture.tensor("in.encoder_attention_mask"),
      timestep_BT: fixture.tensor("in.timestep_token"),
      grid: gridOf({ F: 3, H: 2, W: 3 }, ltxvCompression),
      frameRate: 24,
    }),
  );
}

/** Tensors of a LoRA file, with their names rewritten. */
function tensorsOf(file: string, rename: (key: string) => string = (key) => key): Map<string, Tensor> {
  const source = SafetensorsFile.open(fixturePath(file));
  return new Map(source.names().map((key) => [rename(key), source.tensor(key)]));
}

describe("files of diffusers and ComfyUI", () => {
  test.each([
    ["lora/diffusers.safetensors", "out.lora.output", 20],
    ["lora/comfyui.safetensors", "out.lora.output", 20],
    ["lora/alpha.safetensors", "out.alpha_file.output", 16],
  ])("%s gives the reference's output", (file, output, layers) => {
    const model = modelOf();
    const { matched, unmatched, lora } = loadLora(model, fixturePath(file));
    expect(matched.length).toBe(layers);
    expect(unmatched).toEqual([]);
    expect(lora.rank).toBe(4);
    expectClose(file, outputOf(model), fixture.tensor(output), outputTolerance);
    model.free();
  });

  test.each([
    ["no prefix", (key: string) => key.replace("transformer.", "")],
    ["peft's prefix and adapter name", peftStyle],
    ["down and up", (key: string) => key.replace("lora_A", "lora_down").replace("lora_B", "lora_up")],
  ])("%s", (_label, rename) => {
    const model = modelOf();
    const { matched } = loadLora(model, sourceOf(tensorsOf("lora/diffusers.safetensors", rename)));
    expect(matched.length).toBe(20);
    expectClose("lora renamed", outputOf(model), fixture.tensor("out.lora.output"), outputTolerance);
    model.free();
  });

  test("an alpha beside each pair scales it", () => {
    const model = modelOf();
    const tensors = tensorsOf("lora/alpha.safetensors", (key) =>
      key.replace("transformer.", "diffusion_model."),
    );
    const layers = [...tensors.keys()].filter((key) => key.endsWith(".lora_A.weight"));
    for (const key of layers) tensors.set(key.replace("lora_A.weight", "alpha"), tensor(8));
    const { lora } = loadLora(model, sourceOf(tensors));
    expect(lora.alpha).toBe(8);
    expectClose("lora alpha keys", outputOf(model), fixture.tensor("out.alpha_file.output"), outputTolerance);
    model.free();
  });
});

function peftStyle(key: string): string {
  return key
    .replace("transformer.", "base_model.model.")
    .replace(/lora_([AB])\.weight/, "lora_$1.default.weight");
}

describe("our files", () => {
  test("have exactly the reference's keys, shapes and values, in both dialects", () => {
    const model = modelOf();
    const { lora } = loadLora(model, fixturePath("lora/diffusers.safetensors"));
    for (const dialect of ["diffusers", "comfyui"] as const) {
      const path = join(folder, `${dialect}.safetensors`);
      saveLora(path, lora, { dialect, metadata: { trigger_phrase: "mood" } });
      const [ours, reference] = [path, fixturePath(`lora/${dialect}.safetensors`)].map(
        SafetensorsFile.open,
      ) as [SafetensorsFile, SafetensorsFile];
      expect(ours.names().toSorted()).toEqual(reference.names().toSorted());
      for (const key of reference.names()) {
        expect(compare(ours.tensor(key), reference.tensor(key)).abs, key).toBe(0);
      }
      expect(ours.metadata).toMatchObject({ format: "pt", trigger_phrase: "mood" });
    }
    model.free();
  });

  test("say their configuration in peft's words", () => {
    const model = modelOf();
    const lora = injectLora(model, { rank: 4, generator: new Generator(1) });
    const path = join(folder, "fresh.safetensors");
    saveLora(path, lora, { dialect: "diffusers" });
    expect(JSON.parse(SafetensorsFile.open(path).metadata.lora_adapter_metadata!)).toEqual({
      "transformer.bias": "none",
      "transformer.lora_alpha": 4,
      "transformer.lora_dropout": 0,
      "transformer.r": 4,
      "transformer.target_modules": ["to_k", "to_q", "to_v", "to_out.0"],
    });
    model.free();
  });

  test("carry a scale other than 1 inside B, once", () => {
    const [model, reader] = [modelOf(), modelOf()];
    const { lora } = loadLora(model, fixturePath("lora/alpha.safetensors"));
    expect(lora.alpha / lora.rank).toBe(2);
    const path = join(folder, "folded.safetensors");
    saveLora(path, lora, { dialect: "comfyui" });
    const reread = loadLora(reader, path);
    expect(reread.lora.alpha).toBe(4);
    expectClose("lora folded", outputOf(reader), fixture.tensor("out.alpha_file.output"), outputTolerance);
    model.free();
    reader.free();
  });

  test("are not written with weights that are not finite", () => {
    const model = modelOf();
    const { lora } = loadLora(model, fixturePath("lora/diffusers.safetensors"));
    const path = join(folder, "diverged.safetensors");
    const [weight] = lora.parameters().values();
    weight?.select(0, 0).mul_(Number.NaN);
    expect(() => saveLora(path, lora, { dialect: "diffusers" })).toThrow(
      /diverged\.safetensors: got weights that are not finite/,
    );
    expect(existsSync(path)).toBe(false);
    model.free();
  });

  test("can be written in half the space", () => {
    const model = modelOf();
    const lora = injectLora(model, { rank: 2, generator: new Generator(1) });
    const tensors = exportLora(lora, "diffusers", { dtype: "bfloat16" });
    expect([...tensors.values()].every(({ dtype }) => dtype === "bfloat16")).toBe(true);
    model.free();
  });

  test("spell layers outside the blocks ComfyUI's way", () => {
    const model = modelOf();
    const lora = injectLora(model, {
      rank: 2,
      targets: ["proj_in", "time_embed.linear"],
      generator: new Generator(1),
    });
    expect([...exportLora(lora, "comfyui").keys()]).toEqual([
      "diffusion_model.patchify_proj.lora_A.weight",
      "diffusion_model.patchify_proj.lora_B.weight",
      "diffusion_model.adaln_single.linear.lora_A.weight",
      "diffusion_model.adaln_single.linear.lora_B.weight",
    ]);
    const other = modelOf();
    expect(loadLora(other, sourceOf(exportLora(lora, "comfyui"))).matched).toEqual([
      "proj_in",
      "time_embed.linear",
    ]);
    model.free();
    other.free();
  });
});

describe("a file that does not fit", () => {
  test("is refused when it was made for another width", () => {
    const model = modelOf();
    const key = "transformer.transformer_blocks.0.attn1.to_q";
    const pair = new Map([
      [`${key}.lora_A.weight`, zeros([4, 2048])],
      [`${key}.lora_B.weight`, zeros([2048, 4])],
    ]);
    expect(() => loadLora(model, sourceOf(pair))).toThrow(
      /A \[4,2048\].*expected A \[r,16\].*another base model/,
    );
    model.free();
  });

  test("is refused when half of a pair is missing", () => {
    const model = modelOf();
    const tensors = tensorsOf("lora/diffusers.safetensors");
    tensors.delete("transformer.transformer_blocks.1.attn2.to_v.lora_B.weight");
    expect(() => loadLora(model, sourceOf(tensors))).toThrow(/attn2.to_v: got .*lora_A.weight alone/);
    model.free();
  });

  test("is refused when no layer matches, and says what the keys looked like", () => {
    const model = modelOf();
    const source = sourceOf(new Map([["unet.down.0.lora_A.weight", zeros([1, 1])]]));
    expect(() => loadLora(model, source)).toThrow(/got unet.down.0.lora_A.weight, expected keys like/);
    model.free();
  });

  test("has its stray keys reported", () => {
    const model = modelOf();
    const tensors = tensorsOf("lora/diffusers.safetensors");
    tensors.set("transformer.transformer_blocks.9.attn1.to_q.lora_A.weight", zeros([4, 16]));
    tensors.set("something.else", zeros([1]));
    const { unmatched } = loadLora(model, sourceOf(tensors));
    expect(unmatched).toEqual([
      "something.else",
      "transformer.transformer_blocks.9.attn1.to_q.lora_A.weight",
    ]);
    model.free();
  });
});
