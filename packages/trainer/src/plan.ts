/**
 * The plan: every number derived from the options, decided once, written to `plan.json` and followed by all that comes.
 */
import { AppError, type TrainJob } from "@ltx-trainer/contract";
import { type BaseModel, latentGrid, snapFrames } from "@ltx-trainer/ltx";
import { numThreads, torchVersion } from "@ltx-trainer/torch";
import { fillTrigger } from "./dataset/captions/captions.ts";
import type { DatasetOptions } from "./dataset/types.ts";
import type { BaseProfile } from "./models/base-models.ts";
import type { Placement } from "./models/device.ts";

export type VideoShape = {
  readonly width: number;
  readonly height: number;
  /** 8k + 1. */
  readonly frames: number;
  /** Frames per second. */
  readonly frameRate: number;
};

export type Plan = {
  readonly base: { readonly name: string; readonly family: string; readonly hash: string };
  readonly device: string;
  readonly dtype: string;
  readonly threads: number;
  readonly libtorch: string;
  readonly seed: number;
  readonly steps: number;
  readonly sample: VideoShape & { readonly tokens: number };
  readonly dataset: Omit<DatasetOptions, keyof VideoShape>;
  readonly lora: {
    readonly rank: number;
    readonly alpha: number;
    readonly targets: readonly string[];
    readonly dtype: "float32" | "bfloat16";
  };
  readonly optimizer: {
    readonly name: "AdamW";
    readonly learningRate: number;
    readonly finalLearningRateFactor: number;
    readonly weightDecay: number;
    readonly maxGradNorm: number;
  };
  readonly objective: {
    readonly firstFrameConditioningP: number;
    /** Whether training places frames in time as sampling does; see `causalTime` of `validation`. */
    readonly causalTime: boolean;
    readonly clampSigmaShift: boolean;
    /** Whether the text encoder is told which tokens are padding. */
    readonly maskTextPadding: boolean;
    readonly textLength: number;
    readonly checkpointBlocks: boolean;
  };
  readonly validation: {
    readonly prompts: readonly {
      readonly prompt: string;
      readonly image: string | null;
      readonly reference: string | null;
    }[];
    readonly negativePrompt: string;
    readonly shape: VideoShape;
    readonly interval: number;
    readonly steps: number;
    readonly guidance: number;
    readonly decodeTimestep: number;
    readonly decodeNoiseScale: number;
    readonly causalTime: boolean;
    readonly reverse: boolean;
  };
  readonly checkpoints: { readonly interval: number; readonly keep: number };
  /** Differences from the reference trainer that are in force, in plain words. */
  readonly improvements: readonly string[];
  /** What was changed from what was asked for, and why. */
  readonly notes: readonly string[];
};

/** What a plan follows from: a training's options without where it runs and is kept. */
export type PlanOptions = Omit<TrainJob, "out" | "home" | "on_bad_checkpoint">;

type Surroundings = {
  readonly base: BaseModel;
  readonly baseHash: string;
  readonly profile: BaseProfile;
  readonly placement: Placement;
};

const scenesNote =
  "split_input_into_scenes: not implemented yet: scene cuts are not detected, and samples of a video with cuts may cross them";

/** Decides everything that does not need the data. */
export function makePlan(job: PlanOptions, around: Surroundings): Plan {
  const { base, placement } = around;
  const notes: string[] = [];
  const sample = sampleShape(job, around, notes);
  if (job.split_input_into_scenes) notes.push(scenesNote);
  return {
    base: { name: base.name, family: base.variant, hash: around.baseHash },
    device: placement.device,
    dtype: placement.dtype,
    threads: numThreads(),
    libtorch: torchVersion(),
    seed: job.seed,
    steps: job.number_of_steps,
    sample: { ...sample, tokens: latentGrid(sample, base.compression).tokens },
    dataset: {
      autoScale: job.auto_scale_input,
      triggerPhrase: job.trigger_phrase,
      referenceVideos: job.reference_videos,
      resampleFrameRate: job.resample_frame_rate,
      useAllFootage: job.use_all_footage,
      mixedShapes: job.mixed_shapes,
      temporalCompression: base.compression.temporal,
    },
    lora: {
      rank: job.rank,
      alpha: job.lora_alpha ?? job.rank,
      targets: job.lora_targets,
      dtype: job.lora_dtype,
    },
    optimizer: {
      name: "AdamW",
      learningRate: job.learning_rate,
      finalLearningRateFactor: job.final_learning_rate_factor,
      weightDecay: job.weight_decay,
      maxGradNorm: job.max_grad_norm,
    },
    objective: objectiveOf(job, around),
    validation: validationOf(job, around, notes),
    checkpoints: { interval: job.checkpoint_interval, keep: job.keep_checkpoints },
    improvements: improvementsOf(job, base),
    notes,
  };
}

function sampleShape(job: PlanOptions, around: Surroundings, notes: string[]): VideoShape {
  const frames = snapped("number_of_frames", job.number_of_frames, around, notes);
  return { ...around.profile.sizes[job.resolution][job.aspect_ratio], frames, frameRate: job.frame_rate };
}

/** Frames as the VAE takes them; a change is noted. */
function snapped(field: string, wanted: number, { base }: Surroundings, notes: string[]): number {
  const { temporal } = base.compression;
  const frames = snapFrames(wanted, temporal);
  if (frames !== wanted)
    notes.push(`${field}: ${wanted} became ${frames}, the nearest ${temporal}k + 1 not above it`);
  return frames;
}

function validationOf(job: PlanOptions, around: Surroundings, notes: string[]): Plan["validation"] {
  const { base, profile } = around;
  const frames = snapped("validation_number_of_frames", job.validation_number_of_frames, around, notes);
  if (job.validation.some(({ image_url }) => image_url))
    requireVideoAfterImage(frames, "validation_number_of_frames", base);
  const size = profile.sizes[job.validation_resolution][job.validation_aspect_ratio];
  return {
    prompts: job.validation.map(({ prompt, image_url, reference_url }) => ({
      prompt: fillTrigger(prompt, job.trigger_phrase),
      image: image_url ?? null,
      reference: reference_url ?? null,
    })),
    negativePrompt: job.validation_negative_prompt,
    shape: { ...size, frames, frameRate: job.frame_rate },
    interval: job.validation_interval,
    steps: job.validation_steps ?? profile.sampler.steps,
    guidance: job.validation_guidance ?? profile.sampler.guidance,
    decodeTimestep: profile.sampler.decodeTimestep,
    decodeNoiseScale: profile.sampler.decodeNoiseScale,
    causalTime: base.defaults.causalTime,
    reverse: job.validation_reverse,
  };
}

/** @throws AppError `invalid_options` when a given first frame would be all there is */
export function requireVideoAfterImage(frames: number, field: string, base: BaseModel): void {
  if (frames > 1) return;
  throw new AppError({
    code: "invalid_options",
    message: `${field}: got 1 frame after an image, expected at least ${base.compression.temporal + 1}: the image is the first of them`,
    remedy: "Ask for more frames, or leave out the image.",
  });
}

function objectiveOf(job: PlanOptions, { base, profile, placement }: Surroundings): Plan["objective"] {
  return {
    firstFrameConditioningP: job.first_frame_conditioning_p ?? profile.firstFrameConditioningP,
    causalTime: job.same_rope_in_training && base.defaults.causalTime,
    clampSigmaShift: job.clamp_sigma_shift,
    maskTextPadding: base.defaults.maskTextPadding,
    textLength: base.defaults.textLength,
    checkpointBlocks: wantsCheckpoints(job, base, placement),
  };
}

/** Recomputing activations pays where they would not fit. */
function wantsCheckpoints(job: PlanOptions, base: BaseModel, placement: Placement): boolean {
  if (job.gradient_checkpointing !== "auto") return job.gradient_checkpointing === "on";
  return placement.device !== "cpu" && base.defaults.recomputesOnGpu;
}

function improvementsOf(job: PlanOptions, base: BaseModel): string[] {
  const said: [boolean, string][] = [
    [
      job.lora_dtype === "float32",
      "LoRA weights and Adam's moments are float32: bfloat16 loses small updates",
    ],
    [
      job.same_rope_in_training && base.defaults.causalTime,
      "training places frames in time as sampling does (causal coordinates)",
    ],
    [
      base.defaults.maskTextPadding,
      "the text encoder does not see padding, as in this model's own inference",
    ],
    [job.resample_frame_rate, "videos are resampled to frame_rate"],
    [job.use_all_footage, "all footage is used, not only the first window of each clip"],
    [job.mixed_shapes, "clips of several lengths and images train together"],
    [job.clamp_sigma_shift, "the noise-level shift is held above 4096 tokens"],
    [true, "noise is drawn in float32, and each step's randomness follows from seed and step alone"],
  ];
  return said.filter(([inForce]) => inForce).map(([, text]) => text);
}
