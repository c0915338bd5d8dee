/**
 * What the trainer process is asked to do, and what it answers: `node main.js <command> <job.json>`.
 *
 * The job is a JSON file that fits the command's schema; the answer is the `outputs` of the `finished` event. Field names
 * are those of the API, so that a job file can be written by hand.
 */
import { z } from "zod";
import { defaultNegativePrompt, fewestVideoFrames, type Heading } from "../endpoints/ltx-video-trainer.ts";
import { aspectRatios, resolutions } from "../sizes.ts";
import { DatasetReport } from "./dataset-report.ts";
import { localFields, validationFitsTraining } from "./local-training.ts";

export const trainerCommands = ["train", "generate", "inspect", "doctor", "models"] as const;
export type TrainerCommand = (typeof trainerCommands)[number];

/** The data folder: every job names its own, so that the trainer never reads the environment for it. */
const home = z.string().min(1);

export const onBadCheckpoint = ["stop", "restart"] as const;
export type OnBadCheckpoint = (typeof onBadCheckpoint)[number];

/** What nobody at a command line has reason to set. */
const serverFields = {
  /**
   * What a resumed training does when checkpoints are there and none can be used, because they are damaged or belong to
   * another base model, device or data: end with an error, or start again from step 0. Also whether resuming an
   * empty folder is an error (`stop`) or a start.
   */
  on_bad_checkpoint: z.enum(onBadCheckpoint).default("stop"),
};

/** How strangers' sources are handled; only a server has reason to set it. */
const sourceFields = {
  /** Where downloads may connect to; `public`: not to this machine and its networks. Absent: anywhere. */
  address_policy: z.enum(["any", "public"]).optional(),
  /** What messages and `config.json` call a source, by the source as the job names it. */
  source_names: z.record(z.string(), z.string()).optional(),
};

export const TrainJob = z
  .object({ ...localFields, ...sourceFields, ...serverFields, out: z.string().min(1), home })
  .superRefine(validationFitsTraining);
export type TrainJob = z.infer<typeof TrainJob>;

export const TrainOutputs = z.object({
  lora_file: z.string(),
  lora_file_comfyui: z.string(),
  config_file: z.string(),
  /** Null when no video could be made; `video_error` says why. */
  video: z.string().nullable(),
  contact_sheet: z.string().nullable(),
  /** For people; names no folder of the machine. */
  video_error: z.string().optional(),
  out: z.string(),
  steps: z.int(),
  /** Of this run, from start to end. */
  seconds: z.number(),
  final_loss: z.number().nullable(),
});
export type TrainOutputs = z.infer<typeof TrainOutputs>;

/** Options as for `train`; nothing is trained and no base model is loaded. */
export const InspectJob = z.object({ ...localFields, home }).superRefine(validationFitsTraining);
export type InspectJob = z.infer<typeof InspectJob>;

export const InspectOutputs = z.object({
  report: DatasetReport,
  plan: z.record(z.string(), z.unknown()).optional(),
});
export type InspectOutputs = z.infer<typeof InspectOutputs>;

const what = { group: "What to show" } as const;
const how = { group: "How to sample" } as const;
const files = { group: "Files" } satisfies Heading;

export const generateFields = {
  prompt: z
    .string()
    .min(1)
    .meta({ description: "What the video should show.", ...what }),
  negative_prompt: z
    .string()
    .optional()
    .meta({
      description: `What it should not look like. Default: the LoRA's own, else "${defaultNegativePrompt}".`,
      ...what,
    }),
  image: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: "First frame: a path, an http(s) URL or a data URI.",
      ...what,
    }),
  reference: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: "Video to transform, for a LoRA trained with reference_videos; a path, URL or data URI.",
      ...what,
    }),
  lora: z
    .string()
    .min(1)
    .optional()
    .meta({
      description:
        "LoRA file (.safetensors). Its own size, frames and sampling are in the config.json that its training wrote beside it.",
      ...what,
    }),
  lora_scale: z
    .number()
    .min(-10)
    .max(10)
    .default(1)
    .meta({ description: "Strength of the LoRA.", ...what }),
  compare: z
    .boolean()
    .default(false)
    .meta({
      description: "Show the same seed without the LoRA beside it.",
      ...what,
    }),
  reverse: z
    .boolean()
    .default(false)
    .meta({ description: "Play the finished video backwards.", ...what }),
  resolution: z
    .enum(resolutions)
    .optional()
    .meta({
      description:
        "Named size; the pixels depend on the base model. Default: the LoRA's own size, else medium.",
      ...how,
    }),
  aspect_ratio: z
    .enum(aspectRatios)
    .optional()
    .meta({ description: "Shape of the video. Default: the LoRA's own size, else 1:1.", ...how }),
  width: z
    .int()
    .min(32)
    .max(4096)
    .optional()
    .meta({
      description: "Pixels, instead of a named size; needs height too.",
      ...how,
    }),
  height: z
    .int()
    .min(32)
    .max(4096)
    .optional()
    .meta({
      description: "Pixels, instead of a named size; needs width too.",
      ...how,
    }),
  number_of_frames: z
    .int()
    .min(1)
    .max(257)
    .optional()
    .meta({
      description: "Frames, lowered to the nearest 8k + 1. Default: the LoRA's own, else 81.",
      ...how,
    }),
  frame_rate: z
    .int()
    .min(1)
    .max(120)
    .optional()
    .meta({
      description: "Frames per second. Default: the LoRA's own, else 25.",
      ...how,
    }),
  steps: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .meta({
      description: "Denoising steps. Default: the LoRA's own, else the base model's.",
      ...how,
    }),
  guidance: z
    .number()
    .min(1)
    .max(100)
    .optional()
    .meta({
      description: "Guidance scale; 1 is none. Default: the LoRA's own, else the base model's.",
      ...how,
    }),
  seed: z
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER)
    .default(42)
    .meta({
      description: "The same seed gives the same video.",
      ...how,
    }),
  base: localFields.base.meta({
    ...localFields.base.meta(),
    description:
      "Base model: ltx-nano, the name of an installed one, or a folder. Default: the one the LoRA was trained on if it is " +
      "installed, else LTX_TRAINER_BASE, else ltx-nano without a GPU and the best installed one with.",
  }),
  device: localFields.device,
  dtype: localFields.dtype,
  threads: localFields.threads,
  out: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: "Video file to write (.mp4). Default: video.mp4, or the first free of video-2.mp4, ...",
      ...files,
    }),
  overwrite: z
    .boolean()
    .default(false)
    .meta({ description: "Replace the output file if it exists.", ...files }),
  home: localFields.home,
};

type MaybeSize = { readonly width?: number | undefined; readonly height?: number | undefined };

function bothOrNeitherSide({ width, height }: MaybeSize, context: z.core.$RefinementCtx): void {
  if ((width === undefined) === (height === undefined)) return;
  const missing = width === undefined ? "width" : "height";
  context.addIssue({
    code: "custom",
    path: [missing],
    message: "missing, expected width and height together",
  });
}

type MaybeImage = { readonly image?: string | undefined; readonly number_of_frames?: number | undefined };

function imageBeginsVideo(
  { image, number_of_frames: frames }: MaybeImage,
  context: z.core.$RefinementCtx,
): void {
  if (image === undefined || frames === undefined || frames >= fewestVideoFrames) return;
  context.addIssue({
    code: "custom",
    path: ["number_of_frames"],
    message: `got ${frames}, expected at least ${fewestVideoFrames} with an image: the image is the first frame`,
  });
}

/** What `generate` takes on the command line. */
export const GenerateOptions = z
  .object(generateFields)
  .superRefine(bothOrNeitherSide)
  .superRefine(imageBeginsVideo);
export type GenerateOptions = z.infer<typeof GenerateOptions>;

export const GenerateJob = z
  .object({ ...generateFields, out: z.string().min(1), home })
  .superRefine(bothOrNeitherSide)
  .superRefine(imageBeginsVideo);
export type GenerateJob = z.infer<typeof GenerateJob>;

export const GenerateOutputs = z.object({
  video: z.string(),
  width: z.int(),
  height: z.int(),
  frames: z.int(),
  frame_rate: z.number(),
  seed: z.int(),
  /** LoRA modules applied; null without a LoRA. */
  lora_modules: z.int().nullable(),
  /** Keys of the LoRA file that match no layer and were not applied; null without a LoRA. */
  lora_keys_unmatched: z.int().nullable().optional(),
  seconds: z.number(),
});
export type GenerateOutputs = z.infer<typeof GenerateOutputs>;

export const DoctorJob = z.object({
  home,
  /** Also look at what a training on this device and base model needs. */
  device: z.string().min(1).optional(),
  base: z.string().min(1).optional(),
});
export type DoctorJob = z.infer<typeof DoctorJob>;

/** One thing that was looked at. */
export const DoctorCheck = z.object({
  name: z.string(),
  status: z.enum(["ok", "warn", "fail"]),
  /** What was found. */
  detail: z.string(),
  /** How to make it better; only when it is not ok. */
  fix: z.string().optional(),
});
export type DoctorCheck = z.infer<typeof DoctorCheck>;

export const DoctorOutputs = z.object({ checks: z.array(DoctorCheck) });
export type DoctorOutputs = z.infer<typeof DoctorOutputs>;

export const ModelsJob = z.object({ home, action: z.enum(["list"]).default("list") });
export type ModelsJob = z.infer<typeof ModelsJob>;

export const InstalledModel = z.object({
  name: z.string(),
  folder: z.string(),
  source: z.enum(["bundled", "installed"]),
  family: z.string(),
  sizeBytes: z.number(),
  /** Why it cannot be used; absent when it can. */
  problem: z.string().optional(),
});
export type InstalledModel = z.infer<typeof InstalledModel>;

export const ModelsOutputs = z.object({ models: z.array(InstalledModel) });
export type ModelsOutputs = z.infer<typeof ModelsOutputs>;
