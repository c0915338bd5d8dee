/** What a plan makes of options, for the tiny model and for wishes of a model's own. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { TrainJob } from "@ltx-trainer/contract";
import { afterAll, describe, expect, test } from "vitest";
import { openJobBase, profileOf } from "./models/base-models.ts";
import type { Placement } from "./models/device.ts";
import { makePlan } from "./plan.ts";

const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true });
});

const tiny = fileURLToPath(new URL("../../../fixtures/folder/tiny", import.meta.url));
const cpu: Placement = { device: "cpu", dtype: "float32" };

/** The plan of a job with these options on `name`. */
function planOf(options: Readonly<Record<string, unknown>> = {}, name = tiny, placement = cpu) {
  const base = openJobBase(name, "/nonexistent", false);
  const job = TrainJob.parse({ training_data_url: "clips.zip", out: "o", home: "h", ...options });
  return makePlan(job, { base, baseHash: "hash", profile: profileOf(base), placement });
}

const notesAbout = (field: string, notes: readonly string[]) =>
  notes.filter((note) => note.startsWith(field));

describe("frames", () => {
  test("are lowered to what the VAE takes, with a note about each that was", () => {
    const plan = planOf({ number_of_frames: 30, validation_number_of_frames: 24 });
    expect(plan.sample.frames).toBe(25);
    expect(plan.validation.shape.frames).toBe(17);
    expect(plan.notes).toContain("number_of_frames: 30 became 25, the nearest 8k + 1 not above it");
    expect(plan.notes).toContain(
      "validation_number_of_frames: 24 became 17, the nearest 8k + 1 not above it",
    );
  });

  test("that fit are left alone, without a note", () => {
    const plan = planOf({ number_of_frames: 25, validation_number_of_frames: 9 });
    expect([plan.sample.frames, plan.validation.shape.frames]).toEqual([25, 9]);
    expect(notesAbout("number_of_frames", plan.notes)).toEqual([]);
    expect(notesAbout("validation_number_of_frames", plan.notes)).toEqual([]);
  });
});

test("scenes are said not to be split, where that was asked for", () => {
  expect(notesAbout("split_input_into_scenes", planOf().notes)).toEqual([
    "split_input_into_scenes: not implemented yet: scene cuts are not detected, and samples of a video with cuts may cross them",
  ]);
  expect(notesAbout("split_input_into_scenes", planOf({ split_input_into_scenes: false }).notes)).toEqual([]);
});

test("[trigger] in a validation prompt stands for the trigger phrase", () => {
  const { validation } = planOf({ trigger_phrase: "TOK", validation: [{ prompt: "[trigger] walks" }] });
  expect(validation.prompts.map(({ prompt }) => prompt)).toEqual(["TOK walks"]);
});

describe("sizes and sampling", () => {
  test("are the model's own, and the tokens follow from them", () => {
    const { sample, validation } = planOf({ resolution: "low", number_of_frames: 9 }, "ltx-nano");
    const base = openJobBase("ltx-nano", "/nonexistent", false);
    const own = profileOf(base);
    expect(sample).toMatchObject(own.sizes.low["1:1"]);
    const { spatial } = base.compression;
    expect(sample.tokens).toBe(2 * (sample.width / spatial) * (sample.height / spatial));
    expect(validation).toMatchObject({ steps: own.sampler.steps, guidance: own.sampler.guidance });
  });

  test("are the user's where they were given", () => {
    const { validation } = planOf({
      ...{ validation_steps: 3, validation_guidance: 2, validation_aspect_ratio: "9:16" },
      ...{ frame_rate: 12, validation_negative_prompt: "dull", validation_reverse: true },
    });
    expect(validation).toMatchObject({ steps: 3, guidance: 2, negativePrompt: "dull", reverse: true });
    expect(validation.shape.frameRate).toBe(12);
    expect(validation.shape.height).toBeGreaterThan(validation.shape.width);
  });
});

test("alpha is the rank unless it was given", () => {
  expect(planOf({ rank: 16 }).lora).toMatchObject({ rank: 16, alpha: 16 });
  expect(planOf({ rank: 16, lora_alpha: 4 }).lora).toMatchObject({ rank: 16, alpha: 4 });
});

test("validation prompts carry what they are sampled from, and the trigger where it stands", () => {
  const { prompts } = planOf({
    trigger_phrase: "TOK",
    validation: [{ prompt: "[trigger] melts", image_url: "a.png" }],
  }).validation;
  expect(prompts).toEqual([{ prompt: "TOK melts", image: "a.png", reference: null }]);
});

/** The tiny base, named as another member of its family. */
function tinyOf(family: "13b" | "2b"): string {
  const folder = join(mkdtempSync(join(tmpdir(), "ltx-plan-")), family);
  made.push(dirname(folder));
  cpSync(tiny, folder, { recursive: true });
  const index = join(folder, "model_index.json");
  const values = JSON.parse(readFileSync(index, "utf8"));
  writeFileSync(index, JSON.stringify({ ...values, _ltx_trainer: { ...values._ltx_trainer, family } }));
  return folder;
}

test("blocks are recomputed for the 13B models on a GPU, and elsewhere when asked", () => {
  const gpu: Placement = { device: "cuda:0", dtype: "bfloat16" };
  const recomputes = (setting: string, placement: Placement, family: "13b" | "2b") => {
    const base = openJobBase(tinyOf(family), "/nonexistent", false);
    const job = TrainJob.parse({
      ...{ training_data_url: "x", out: "o", home: "h" },
      gradient_checkpointing: setting,
    });
    const around = { base, baseHash: "hash", profile: profileOf(base), placement };
    return makePlan(job, around).objective.checkpointBlocks;
  };
  expect(recomputes("auto", gpu, "13b")).toBe(true);
  expect(recomputes("auto", gpu, "2b")).toBe(false);
  expect(recomputes("auto", cpu, "13b")).toBe(false);
  expect(recomputes("on", cpu, "2b")).toBe(true);
  expect(recomputes("off", gpu, "13b")).toBe(false);
});

test("the improvements listed are those in force", () => {
  const all = planOf({}, "ltx-nano").improvements;
  const fewer = planOf(
    { lora_dtype: "bfloat16", resample_frame_rate: false, use_all_footage: false, mixed_shapes: false },
    "ltx-nano",
  ).improvements;
  expect(all.filter((text) => !fewer.includes(text))).toEqual([
    "LoRA weights and Adam's moments are float32: bfloat16 loses small updates",
    "videos are resampled to frame_rate",
    "all footage is used, not only the first window of each clip",
    "clips of several lengths and images train together",
  ]);
});

test("equal options give equal plans, which survive JSON", () => {
  const plan = planOf({ seed: 7, rank: 8 });
  expect(planOf({ seed: 7, rank: 8 })).toEqual(plan);
  expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
});
