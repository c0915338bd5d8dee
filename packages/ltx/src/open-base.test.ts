/** Two model families: everything outside `ltxv/` works with the other one. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Generator, keep, openTensors, scope } from "@ltx-trainer/torch";
import { afterAll, expect, test } from "vitest";
import { latentGrid, snapFrames } from "./latent-grid.ts";
import { injectLora } from "./lora/lora.ts";
import { loadLora, saveLora } from "./lora/lora-file.ts";
import { ltxv } from "./ltxv/base.ts";
import { openBase } from "./open-base.ts";
import { decodeVideo } from "./sampling/decode-video.ts";
import { sampleLatents } from "./sampling/sampler.ts";
import { double } from "./testing/double-family/family.ts";
import { fixturePath } from "./testing/fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "ltx-family-"));
writeFileSync(join(folder, "model_index.json"), JSON.stringify({ _class_name: "DoublePipeline" }));
afterAll(() => rmSync(folder, { recursive: true }));

const known = [ltxv, double];

test("a folder is opened by the family that its pipeline names", () => {
  expect(openBase(folder, known)).toMatchObject({ name: "double", variant: "tiny" });
  expect(openBase(fixturePath("folder/tiny"), known).latentChannels).not.toBe(6);
  expect(() => openBase(folder)).toThrow(/_class_name.*DoublePipeline.*LTXPipeline/s);
});

test("another family is sampled and decoded with its own grid, text and schedule", () => {
  const base = openBase(folder, known);
  const { defaults, compression } = base;
  const grid = latentGrid(
    { frames: snapFrames(10, compression.temporal), height: 32, width: 32 },
    compression,
  );
  expect(grid).toMatchObject({ F: 3, H: 2, W: 2 });
  const encoder = base.loadPromptEncoder();
  const options = { length: defaults.textLength, maskPadding: defaults.maskTextPadding };
  const positive = keep(encoder.encode("cat", options));
  const sampled = scope(() =>
    keep(
      sampleLatents({
        transformer: base.loadTransformer(),
        schedule: defaults.schedule,
        positive,
        guidance: defaults.sampler.guidance,
        steps: defaults.sampler.steps,
        grid,
        frameRate: 25,
        generator: new Generator(1),
      }),
    ),
  );
  expect(sampled.shape).toEqual([1, 6, 3, 2, 2]);
  const pixels = decodeVideo(base.loadVae(), sampled);
  expect(pixels.shape).toEqual([1, 3, 9, 32, 32]);
});

test("a LoRA sits on the family's own layers, and its files have the family's names", () => {
  const transformer = openBase(folder, known).loadTransformer();
  const lora = injectLora(transformer, { rank: 2, generator: new Generator(3) });
  expect([...lora.modules.keys()]).toEqual(["mix.in", "mix.out"]);
  const path = join(folder, "lora.comfyui.safetensors");
  saveLora(path, lora, { dialect: "comfyui" });
  const file = openTensors(path);
  expect(file.names().toSorted()[0]).toBe("diffusion_model.mixer.in.lora_A.weight");
  file.close();
  lora.remove();
  const { matched, unmatched } = loadLora(transformer, path);
  expect(matched).toEqual(["mix.in", "mix.out"]);
  expect(unmatched).toEqual([]);
});
