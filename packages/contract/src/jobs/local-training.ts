/**
 * The options of a training on this machine: the hosted input with wider limits, plus what only makes sense where the
 * program runs (base model, device, seed, files) and the expert switches.
 *
 * Every switch under "Expert" that is on by default is a deliberate improvement over the reference trainer; off restores
 * its behaviour.
 */
import { z } from "zod";
import {
  type Heading,
  hostedFields,
  imagesBeginVideos,
  imagesOnAllOrNone,
  numberFromText,
  ValidationPrompt,
} from "../endpoints/ltx-video-trainer.ts";

const data = { group: "Data" } satisfies Heading;
const training = { group: "Training" } satisfies Heading;
const validating = { group: "Validation" } satisfies Heading;
const running = { group: "Where and how to run" } satisfies Heading;
const files = { group: "Files" } satisfies Heading;
const expert = { group: "Expert" } satisfies Heading;

/** The projections that LoRA may adapt. The first four, of both attentions, are the default. */
const loraTargets = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"] as const;

/** A prompt to sample, and what to sample it from. */
const LocalValidationPrompt = ValidationPrompt.extend({
  reference_url: z.string().min(1).nullable().optional().meta({
    description:
      "Video to transform, with reference_videos: a path, URL or data URI, at least as long as the preview.",
  }),
});
type LocalValidationPrompt = z.infer<typeof LocalValidationPrompt>;

/** The fields by name; CLI flags and jobs are made from them. */
export const localFields = {
  ...hostedFields,
  training_data_url: hostedFields.training_data_url.meta({
    description: "Zip file, folder, single video or image, http(s) URL or data URI with the training media.",
    ...data,
  }),
  reference_videos: z
    .boolean()
    .default(false)
    .meta({
      description:
        "Learn to transform videos (IC-LoRA): beside every clip.mp4 stands clip.reference.mp4, what it is made from, " +
        "as long as the clip. Every validation prompt then needs a video too. Twice the tokens, over twice the time.",
      ...data,
    }),
  rank: z
    .preprocess(numberFromText, z.int().min(1).max(1024))
    .default(128)
    .meta({
      description:
        "Rank of the LoRA: how much it can learn, and how big its file becomes. The API takes 8 to 128.",
      ...training,
    }),
  number_of_steps: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(1000)
    .meta({
      description: "Number of optimizer steps.",
      ...training,
    }),
  number_of_frames: z
    .int()
    .min(1)
    .max(257)
    .default(81)
    .meta({
      description:
        "Frames of one training sample: seconds times frames per second. Lowered to the nearest 8k + 1.",
      ...data,
    }),
  validation: z
    .array(LocalValidationPrompt)
    .max(2)
    .default([])
    .meta({
      description: "Prompts to sample with the trained LoRA, side by side in one video.",
      ...validating,
    }),
  validation_number_of_frames: z
    .int()
    .min(1)
    .max(257)
    .default(81)
    .meta({
      description: "Frames of a validation video. Lowered to the nearest 8k + 1.",
      ...validating,
    }),
  base: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        "Base model: ltx-nano, the name of an installed one, or a folder. Default: LTX_TRAINER_BASE, else ltx-nano without a " +
        "GPU and the best installed one with.",
      ...running,
    }),
  device: z
    .string()
    .regex(/^(auto|cpu|cuda(:\d+)?)$/, "auto, cpu, cuda or cuda:N")
    .default("auto")
    .meta({ description: "Where to compute: auto, cpu, cuda or cuda:N.", ...running }),
  dtype: z
    .enum(["auto", "float32", "bfloat16"])
    .default("auto")
    .meta({
      description: "Number format of the frozen base model; auto is bfloat16 on a GPU and float32 on a CPU.",
      ...running,
    }),
  threads: z
    .int()
    .min(1)
    .max(1024)
    .optional()
    .meta({
      description: "CPU threads. Default: all cores.",
      ...running,
    }),
  gradient_checkpointing: z
    .enum(["auto", "on", "off"])
    .default("auto")
    .meta({
      description: "Recompute blocks in the backward pass: less memory, about a third more time.",
      ...running,
    }),
  seed: z
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER)
    .default(42)
    .meta({
      description: "Seed of everything random. The same seed and data give the same LoRA.",
      ...training,
    }),
  out: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: "Output folder.",
      ...files,
    }),
  home: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: "Data folder with base models and caches. Default: LTX_TRAINER_HOME, else ~/.ltx-trainer.",
      ...files,
    }),
  resume: z
    .boolean()
    .default(false)
    .meta({
      description:
        "Continue from the newest intact checkpoint in the output folder. The result is as if never interrupted.",
      ...files,
    }),
  checkpoint_interval: z
    .int()
    .min(0)
    .default(100)
    .meta({
      description: "Steps between checkpoints; 0 writes one at the end only.",
      ...files,
    }),
  keep_checkpoints: z
    .int()
    .min(1)
    .default(2)
    .meta({
      description: "How many of the newest checkpoints to keep.",
      ...files,
    }),
  validation_interval: z
    .int()
    .min(0)
    .default(0)
    .meta({
      description: "Also sample the validation prompts every so many steps; 0 samples after training only.",
      ...validating,
    }),
  validation_steps: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .meta({
      description: "Denoising steps of a validation video. Default: the base model's own.",
      ...validating,
    }),
  validation_guidance: z
    .number()
    .min(1)
    .max(100)
    .optional()
    .meta({
      description: "Guidance scale of validation videos; 1 is none. Default: the base model's own.",
      ...validating,
    }),
  lora_targets: z
    .array(z.enum(loraTargets))
    .min(1)
    .default(["to_q", "to_k", "to_v", "to_out.0"])
    .meta({
      description: "Projections of every block that get a LoRA; add the ff ones for more capacity.",
      ...expert,
    }),
  lora_alpha: z
    .number()
    .gt(0)
    .optional()
    .meta({
      description: "Scale of the LoRA is alpha / rank. Default: alpha = rank.",
      ...expert,
    }),
  first_frame_conditioning_p: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .meta({
      description:
        "Share of steps that show the model a clean first frame (image to video). Default: the base model's own.",
      ...expert,
    }),
  weight_decay: z
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .meta({
      description: "Weight decay of AdamW.",
      ...expert,
    }),
  max_grad_norm: z
    .number()
    .gt(0)
    .default(1)
    .meta({
      description: "Gradients are scaled down to this L2 norm.",
      ...expert,
    }),
  final_learning_rate_factor: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .meta({
      description: "The learning rate falls in a straight line to this share of its start.",
      ...expert,
    }),
  lora_dtype: z
    .enum(["float32", "bfloat16"])
    .default("float32")
    .meta({
      description: "Number format of LoRA weights and optimizer state; bfloat16 loses small updates.",
      ...expert,
    }),
  resample_frame_rate: z
    .boolean()
    .default(true)
    .meta({
      description: "Resample videos to frame_rate. Off: frames as stored, at each video's own rate.",
      ...expert,
    }),
  use_all_footage: z
    .boolean()
    .default(true)
    .meta({
      description: "Use every window of a video. Off: the first one only.",
      ...expert,
    }),
  mixed_shapes: z
    .boolean()
    .default(true)
    .meta({
      description:
        "Train videos, images and shorter clips together. Off: only samples of the full frame count.",
      ...expert,
    }),
  same_rope_in_training: z
    .boolean()
    .default(true)
    .meta({
      description:
        "Give training the time coordinates of inference. Off: as the reference trainer, without the causal fix.",
      ...expert,
    }),
  clamp_sigma_shift: z
    .boolean()
    .default(true)
    .meta({
      description: "Hold the noise-level shift at its value for 4096 tokens above that. Off: extrapolate.",
      ...expert,
    }),
};

type WithReferences = {
  readonly reference_videos: boolean;
  readonly validation_number_of_frames: number;
  readonly validation: readonly LocalValidationPrompt[];
};

/** Images on all prompts or none; references on all prompts of a training with references, else on none. */
export function validationFitsTraining(options: WithReferences, context: z.core.$RefinementCtx): void {
  imagesOnAllOrNone(options, context);
  imagesBeginVideos(options, context);
  const { reference_videos: wanted, validation } = options;
  const complain = (path: (string | number)[], message: string) =>
    context.addIssue({ code: "custom", path: ["validation", ...path], message, input: validation });
  if (wanted && validation.length === 0)
    complain(
      [],
      "got none, expected a prompt with a reference_url: reference_videos needs a video to transform",
    );
  for (const [index, { reference_url }] of validation.entries()) {
    if (wanted && !reference_url)
      complain([index, "reference_url"], "missing, expected a video: reference_videos is on");
    if (!wanted && reference_url)
      complain([index, "reference_url"], "got a video, expected none: reference_videos is off");
  }
}

/** What the command line and a local job take. */
export const LocalTrainingOptions = z.object(localFields).superRefine(validationFitsTraining);
export type LocalTrainingOptions = z.infer<typeof LocalTrainingOptions>;
