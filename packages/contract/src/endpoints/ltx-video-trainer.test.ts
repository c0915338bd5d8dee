/** The public input is frozen here: a change of fields, limits or defaults must be made twice, on purpose. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { LocalTrainingOptions, localFields } from "../jobs/local-training.ts";
import { fieldGroups, hostedFields, hostedRanks, TrainingInput } from "./ltx-video-trainer.ts";

const sizes = ["low", "medium", "high"];
const shapes = ["16:9", "1:1", "9:16"];

/** Field by field as published: type, limits, default. Order matters: forms and pages follow it. */
const published: [string, Record<string, unknown>][] = [
  ["training_data_url", { type: "string" }],
  ["rank", { enum: [8, 16, 32, 64, 128], default: 128 }],
  ["number_of_steps", { type: "integer", minimum: 100, maximum: 20000, default: 1000 }],
  ["number_of_frames", { type: "integer", minimum: 25, maximum: 121, default: 81 }],
  ["frame_rate", { type: "integer", minimum: 8, maximum: 60, default: 25 }],
  ["resolution", { type: "string", enum: sizes, default: "medium" }],
  ["aspect_ratio", { type: "string", enum: shapes, default: "1:1" }],
  ["learning_rate", { type: "number", minimum: 1e-6, maximum: 1, default: 0.0002 }],
  ["trigger_phrase", { type: "string", default: "" }],
  ["auto_scale_input", { type: "boolean", default: false }],
  ["split_input_into_scenes", { type: "boolean", default: true }],
  ["split_input_duration_threshold", { type: "number", minimum: 1, maximum: 60, default: 30 }],
  ["validation", { type: "array", maxItems: 2, default: [] }],
  [
    "validation_negative_prompt",
    { type: "string", default: "blurry, low quality, bad quality, out of focus" },
  ],
  ["validation_number_of_frames", { type: "integer", minimum: 8, maximum: 121, default: 81 }],
  ["validation_resolution", { type: "string", enum: sizes, default: "high" }],
  ["validation_aspect_ratio", { type: "string", enum: shapes, default: "1:1" }],
  ["validation_reverse", { type: "boolean", default: false }],
];

test("fields, limits and defaults are those of the published API, in its order", () => {
  const properties = z.toJSONSchema(TrainingInput, { io: "output" }).properties ?? {};
  expect(Object.keys(properties)).toEqual(published.map(([name]) => name));
  for (const [name, expected] of published) {
    expect.soft({ name, ...(properties[name] as object) }).toMatchObject({ name, ...expected });
  }
});

test("only the training data is required", () => {
  expect(z.toJSONSchema(TrainingInput, { io: "input" }).required).toEqual(["training_data_url"]);
  const input = TrainingInput.parse({ training_data_url: "https://example.com/a.zip" });
  for (const [name, { default: fallback }] of published) {
    if (fallback !== undefined) expect.soft(input[name as keyof TrainingInput], name).toEqual(fallback);
  }
});

test("every field is described and stands under a known heading", () => {
  for (const [name, schema] of Object.entries({ ...hostedFields, ...localFields })) {
    const meta = schema.meta() as { description?: string; group?: string };
    expect.soft(meta.description ?? "", name).toMatch(/^[A-Z].{10,}[.]$/);
    expect.soft(fieldGroups, name).toContain(meta.group);
  }
});

test.each(hostedRanks)("rank %i is the same as number and as text", (rank) => {
  const url = { training_data_url: "x" };
  expect(TrainingInput.parse({ ...url, rank })).toEqual(TrainingInput.parse({ ...url, rank: String(rank) }));
});

test.each([7, 129, "7", "128.0", " 128", "", null, true, 16.5])("refuses rank %j", (rank) => {
  expect(TrainingInput.safeParse({ training_data_url: "x", rank }).success).toBe(false);
});

const prompt = { prompt: "a cube" };
const withImage = { prompt: "a cube", image_url: "a.png" };

test("an image on one validation prompt needs one on all", () => {
  const parse = (validation: unknown[]) => TrainingInput.safeParse({ training_data_url: "x", validation });
  expect(parse([prompt, prompt]).success).toBe(true);
  expect(parse([withImage, withImage]).success).toBe(true);
  expect(parse([{ ...prompt, image_url: null }, prompt]).success).toBe(true);
  const mixed = parse([withImage, prompt]);
  expect(mixed.error?.issues).toMatchObject([{ path: ["validation", 1, "image_url"], code: "custom" }]);
  expect(
    LocalTrainingOptions.safeParse({ training_data_url: "x", validation: [prompt, withImage] }).success,
  ).toBe(false);
});

test("references: on every validation prompt with reference_videos, on none without", () => {
  const withReference = { prompt: "a cube", reference_url: "a.mp4" };
  const problems = (reference_videos: boolean, validation: unknown[]) => {
    const parsed = LocalTrainingOptions.safeParse({ training_data_url: "x", reference_videos, validation });
    return parsed.error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`) ?? [];
  };
  expect(problems(true, [withReference, withReference])).toEqual([]);
  expect(problems(false, [prompt])).toEqual([]);
  expect(problems(true, [withReference, prompt])).toEqual([
    "validation.1.reference_url: missing, expected a video: reference_videos is on",
  ]);
  expect(problems(false, [withReference])).toEqual([
    "validation.0.reference_url: got a video, expected none: reference_videos is off",
  ]);
  expect(problems(true, [])).toEqual([expect.stringMatching(/^validation: got none, expected a prompt/)]);
  expect(TrainingInput.parse({ training_data_url: "x", validation: [withReference] }).validation).toEqual([
    prompt,
  ]);
});

test("unknown keys are dropped", () => {
  expect(TrainingInput.parse({ training_data_url: "x", lora_rank: 3 })).not.toHaveProperty("lora_rank");
});

test("what the hosted API accepts, a local run accepts with the same meaning", () => {
  const hosted = fc.record(
    {
      training_data_url: fc.string({ minLength: 1 }),
      rank: fc.constantFrom(...hostedRanks, ...hostedRanks.map(String)),
      number_of_steps: fc.integer({ min: 100, max: 20_000 }),
      number_of_frames: fc.integer({ min: 25, max: 121 }),
      frame_rate: fc.integer({ min: 8, max: 60 }),
      resolution: fc.constantFrom(...sizes),
      aspect_ratio: fc.constantFrom(...shapes),
      learning_rate: fc.double({ min: 1e-6, max: 1, noNaN: true }),
      trigger_phrase: fc.string(),
      auto_scale_input: fc.boolean(),
      validation: fc.array(fc.record({ prompt: fc.string({ minLength: 1 }) }), { maxLength: 2 }),
      validation_number_of_frames: fc.integer({ min: 8, max: 121 }),
    },
    { requiredKeys: ["training_data_url"] },
  );
  fc.assert(
    fc.property(hosted, (input) => {
      expect(LocalTrainingOptions.parse(input)).toMatchObject(TrainingInput.parse(input));
    }),
  );
});

test("a validation image needs frames after it", () => {
  const ask = (frames: number, image: boolean) => ({
    training_data_url: "x",
    validation_number_of_frames: frames,
    validation: [image ? withImage : { prompt: "a cube" }],
  });
  for (const schema of [TrainingInput, LocalTrainingOptions]) {
    expect(schema.safeParse(ask(8, true)).error?.issues).toMatchObject([
      {
        path: ["validation_number_of_frames"],
        message: "got 8, expected at least 9 with an image_url: the image is the first frame",
      },
    ]);
    expect(schema.safeParse(ask(9, true)).success).toBe(true);
    expect(schema.safeParse(ask(8, false)).success).toBe(true);
  }
});

test("a local run may be shorter than the hosted minimum", () => {
  expect(LocalTrainingOptions.parse({ training_data_url: "x", number_of_steps: 1, rank: 4 })).toMatchObject({
    number_of_steps: 1,
    rank: 4,
    seed: 42,
    lora_targets: ["to_q", "to_k", "to_v", "to_out.0"],
  });
  expect(TrainingInput.safeParse({ training_data_url: "x", number_of_steps: 99 }).success).toBe(false);
});
