/**
 * The endpoint `fal-ai/ltx-video-trainer`: every field of its input with limits, default and description, written once, and
 * its output.
 *
 * Validation, API documentation, form labels, CLI flags and help text are all made from this schema.
 * Unknown keys are dropped, as the hosted service did; `unknownKeys` names them. `local-training.ts` widens this for the
 * command line.
 *
 * Source: limits, types and defaults follow the public API page of fal-ai/ltx-video-trainer; the descriptions are our own.
 */
import { z } from "zod";
import { aspectRatios, resolutions } from "../sizes.ts";
import { OutputFile } from "./output-file.ts";

/** Headings under which CLI help and forms list the fields, in this order. */
export const fieldGroups = [
  "Data",
  "Training",
  "Validation",
  "Where and how to run",
  "Files",
  "Expert",
] as const;
export type FieldGroup = (typeof fieldGroups)[number];

/** Puts a field under its heading, as schema metadata. */
export type Heading = { readonly group: FieldGroup };

/** What a video should not look like when nobody says so. */
export const defaultNegativePrompt = "blurry, low quality, bad quality, out of focus";

/** The ranks that the hosted API accepts. */
export const hostedRanks = [8, 16, 32, 64, 128] as const;

/** Turns `"128"` into 128: clients exist that send numbers as text. Everything else is left to the schema behind it. */
export function numberFromText(value: unknown): unknown {
  return typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
}

/** The same for numbers with decimals: `"2e-4"`. */
function decimalFromText(value: unknown): unknown {
  return typeof value === "string" && /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value) ? Number(value) : value;
}

/** Turns `"true"` and 1 into true, `"false"` and 0 into false, as the hosted service did. */
function booleanFromText(value: unknown): unknown {
  if (value === 1 || (typeof value === "string" && /^true$/i.test(value))) return true;
  if (value === 0 || (typeof value === "string" && /^false$/i.test(value))) return false;
  return value;
}

const data = { group: "Data" } satisfies Heading;
const training = { group: "Training" } satisfies Heading;
const validating = { group: "Validation" } satisfies Heading;

export const ValidationPrompt = z
  .object({
    prompt: z.string().min(1).meta({ description: "What the validation video should show." }),
    image_url: z.string().nullable().optional().meta({
      description: "First frame of the validation video. Give one to every validation prompt or to none.",
    }),
  })
  .meta({ id: "Validation" });
export type ValidationPrompt = z.infer<typeof ValidationPrompt>;

/** The fields by name; `local-training.ts` starts from them. */
export const hostedFields = {
  training_data_url: z
    .string()
    .min(1)
    .meta({
      description:
        "Zip archive with the videos and images to learn from; ten or more give the best results. A text file of the " +
        "same base name beside a video or image is its caption.",
      ...data,
    }),
  rank: z
    .preprocess(numberFromText, z.literal(hostedRanks))
    .default(128)
    .meta({
      description: "Rank of the LoRA: how much it can learn, and how big its file becomes.",
      examples: [128],
      ...training,
    }),
  number_of_steps: z
    .preprocess(numberFromText, z.int().min(100).max(20_000))
    .default(1000)
    .meta({ description: "Number of optimizer steps.", examples: [1000], ...training }),
  number_of_frames: z
    .preprocess(numberFromText, z.int().min(25).max(121))
    .default(81)
    .meta({
      description:
        "Frames of one training sample: seconds times frames per second. Lowered to the nearest 8k + 1.",
      examples: [81],
      ...data,
    }),
  frame_rate: z
    .preprocess(numberFromText, z.int().min(8).max(60))
    .default(25)
    .meta({
      description: "Frames per second to which every video is resampled.",
      examples: [25],
      ...data,
    }),
  resolution: z
    .enum(resolutions)
    .default("medium")
    .meta({
      description: "Size of the training samples; the pixels depend on the base model.",
      examples: ["medium"],
      ...data,
    }),
  aspect_ratio: z
    .enum(aspectRatios)
    .default("1:1")
    .meta({
      description: "Shape of the training samples. Media are scaled to cover it and cropped at the centre.",
      examples: ["1:1"],
      ...data,
    }),
  learning_rate: z
    .preprocess(decimalFromText, z.number().min(1e-6).max(1))
    .default(2e-4)
    .meta({
      description: "Step size of the optimizer at the start. Higher learns faster and overfits sooner.",
      examples: [2e-4],
      ...training,
    }),
  trigger_phrase: z
    .string()
    .default("")
    .meta({
      description: "Words that call up what was learnt. Put in front of every caption that lacks them.",
      examples: [""],
      ...data,
    }),
  auto_scale_input: z
    .preprocess(booleanFromText, z.boolean())
    .default(false)
    .meta({
      description:
        "Time-scale every whole clip to exactly number_of_frames instead of cutting it into windows of that length.",
      examples: [false],
      ...data,
    }),
  split_input_into_scenes: z
    .preprocess(booleanFromText, z.boolean())
    .default(true)
    .meta({
      description:
        "Split videos longer than split_input_duration_threshold at their scene cuts. Not implemented yet: the option is accepted, " +
        "cuts are not detected, and samples may cross them.",
      examples: [true],
      ...data,
    }),
  split_input_duration_threshold: z
    .preprocess(decimalFromText, z.number().min(1).max(60))
    .default(30)
    .meta({
      description: "Seconds above which a video is split into scenes. Without effect until scenes are split.",
      examples: [30],
      ...data,
    }),
  validation: z
    .array(ValidationPrompt)
    .max(2)
    .default([])
    .meta({
      description: "Prompts to sample with the trained LoRA, side by side in one video.",
      ...validating,
    }),
  validation_negative_prompt: z
    .string()
    .default(defaultNegativePrompt)
    .meta({ description: "What validation videos should not look like.", ...validating }),
  validation_number_of_frames: z
    .preprocess(numberFromText, z.int().min(8).max(121))
    .default(81)
    .meta({
      description: "Frames of a validation video. Lowered to the nearest 8k + 1.",
      examples: [81],
      ...validating,
    }),
  validation_resolution: z
    .enum(resolutions)
    .default("high")
    .meta({ description: "Size of validation videos.", examples: ["high"], ...validating }),
  validation_aspect_ratio: z
    .enum(aspectRatios)
    .default("1:1")
    .meta({ description: "Shape of validation videos.", examples: ["1:1"], ...validating }),
  validation_reverse: z
    .preprocess(booleanFromText, z.boolean())
    .default(false)
    .meta({
      description: "Play the finished validation video backwards, for effects that are learnt in reverse.",
      ...validating,
    }),
};

type WithPrompts = { readonly validation: readonly ValidationPrompt[] };

/** A validation image on one prompt needs one on all: they are sampled side by side from the same kind of start. */
export function imagesOnAllOrNone({ validation }: WithPrompts, context: z.core.$RefinementCtx): void {
  const without = validation.findIndex((item) => !item.image_url);
  const withImage = validation.filter((item) => item.image_url).length;
  if (withImage === 0 || without === -1) return;
  context.addIssue({
    code: "custom",
    path: ["validation", without, "image_url"],
    message: `got ${withImage} of ${validation.length} validation prompts with an image, expected an image for all or for none`,
    input: validation[without]?.image_url,
  });
}

/** The fewest frames that are a video to the model; fewer are one picture. */
export const fewestVideoFrames = 9;

type WithImages = WithPrompts & { readonly validation_number_of_frames: number };

/** A validation image is the first frame: without others after it there is nothing to make. */
export function imagesBeginVideos(input: WithImages, context: z.core.$RefinementCtx): void {
  const { validation, validation_number_of_frames: frames } = input;
  if (frames >= fewestVideoFrames || !validation.some((item) => item.image_url)) return;
  context.addIssue({
    code: "custom",
    path: ["validation_number_of_frames"],
    message: `got ${frames}, expected at least ${fewestVideoFrames} with an image_url: the image is the first frame`,
    input: frames,
  });
}

/** The request body of the hosted API. */
export const TrainingInput = z
  .object(hostedFields)
  .superRefine(imagesOnAllOrNone)
  .superRefine(imagesBeginVideos);
export type TrainingInput = z.infer<typeof TrainingInput>;

/**
 * The answer to a request: the files of a training.
 *
 * `lora_file_comfyui` and `video_error` are additions of ours, at the end.
 */
export const TrainingOutput = z.object({
  video: OutputFile.nullable().optional().meta({ description: "The validation video." }),
  lora_file: OutputFile.meta({ description: "The trained LoRA weights." }),
  config_file: OutputFile.meta({ description: "What an inference endpoint needs to use the LoRA." }),
  lora_file_comfyui: OutputFile.optional().meta({
    description: "The same weights under the names that ComfyUI knows.",
  }),
  video_error: z.string().optional().meta({ description: "Why there is no validation video." }),
});
export type TrainingOutput = z.infer<typeof TrainingOutput>;
