/**
 * What of a job and its plan goes into files that are passed on: an inference service gets `config.json`, and people share
 * whole output folders. Sources appear by name alone, and a field that is not listed here does not appear.
 */
import type { TrainJob } from "@ltx-trainer/contract";
import type { Plan } from "./plan.ts";
import { portableSourceName } from "./source/policy.ts";

/** Options that say the same on every machine, and name no file. */
export const portableFields = [
  ...["rank", "number_of_steps", "number_of_frames", "frame_rate", "resolution", "aspect_ratio"],
  ...["learning_rate", "trigger_phrase", "auto_scale_input", "split_input_into_scenes"],
  ...["split_input_duration_threshold", "reference_videos", "validation_negative_prompt"],
  ...[
    "validation_number_of_frames",
    "validation_resolution",
    "validation_aspect_ratio",
    "validation_reverse",
  ],
  ...["device", "dtype", "threads", "gradient_checkpointing", "seed", "checkpoint_interval"],
  ...["keep_checkpoints", "validation_interval", "validation_steps", "validation_guidance", "lora_targets"],
  ...["lora_alpha", "first_frame_conditioning_p", "weight_decay", "max_grad_norm"],
  ...["final_learning_rate_factor", "lora_dtype", "resample_frame_rate", "use_all_footage", "mixed_shapes"],
  ...["same_rope_in_training", "clamp_sigma_shift"],
] as readonly (keyof TrainJob)[];

/** The job as another machine could repeat it, given the data. */
export function portableJob(job: TrainJob, plan: Plan): Record<string, unknown> {
  return {
    ...pick(job, portableFields),
    ...(job.base === undefined ? {} : { base: plan.base.name }),
    training_data_url: portableSourceName(job.training_data_url, job.source_names),
    validation: job.validation.map(({ prompt, image_url, reference_url }) => ({
      prompt,
      ...(image_url ? { image_url: portableSourceName(image_url, job.source_names) } : {}),
      ...(reference_url ? { reference_url: portableSourceName(reference_url, job.source_names) } : {}),
    })),
  };
}

const planFields = [
  ...(["base", "device", "dtype", "threads", "libtorch", "seed", "steps", "sample", "dataset"] as const),
  ...(["lora", "optimizer", "objective", "checkpoints", "improvements", "notes"] as const),
];
const validationFields = [
  ...(["negativePrompt", "shape", "interval", "steps", "guidance", "decodeTimestep"] as const),
  ...(["decodeNoiseScale", "causalTime", "reverse"] as const),
];

/** The plan with the names of its sources. */
export function portablePlan(plan: Plan, names: TrainJob["source_names"]): Record<string, unknown> {
  const nameOf = (source: string | null) => (source === null ? null : portableSourceName(source, names));
  return {
    ...pick(plan, planFields),
    validation: {
      prompts: plan.validation.prompts.map(({ prompt, image, reference }) => ({
        prompt,
        image: nameOf(image),
        reference: nameOf(reference),
      })),
      ...pick(plan.validation, validationFields),
    },
  };
}

function pick<T extends object>(from: T, names: readonly (keyof T)[]): Partial<T> {
  const picked: Partial<T> = {};
  for (const name of names) if (from[name] !== undefined) picked[name] = from[name];
  return picked;
}
