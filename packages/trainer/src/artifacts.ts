/**
 * What a training leaves behind: the LoRA in both dialects, the configuration, the validation video, the contact sheet.
 *
 * The previews are made from the LoRA file as written, read back and applied: what is shown is what will be shipped.
 */
import type { TrainJob } from "@ltx-trainer/contract";
import { type Lora, loadLora, saveLora, type Transformer } from "@ltx-trainer/ltx";
import { portableSourceName } from "./dataset/source-policy.ts";
import type { Dataset } from "./dataset/types.ts";
import type { Reporter } from "./events.ts";
import { type JobFolder, writeJson } from "./job-folder.ts";
import { writeContactSheet } from "./media/contact-sheet.ts";
import { writeVideo } from "./media/encode-video.ts";
import type { Plan } from "./plan.ts";
import type { FinalPreviews, Previewer } from "./previewer.ts";

type OutputContext = {
  readonly job: TrainJob;
  readonly plan: Plan;
  readonly folder: JobFolder;
  readonly dataset: Dataset;
  readonly transformer: Transformer;
  readonly lora: Lora;
  readonly previewer: Previewer;
  readonly reporter: Reporter;
};

export type OutputFiles = {
  readonly lora_file: string;
  readonly lora_file_comfyui: string;
  readonly config_file: string;
  readonly video: string;
  readonly contact_sheet: string;
};

/** Writes everything; takes the LoRA off the model and frees both. */
export async function writeOutputs(context: OutputContext): Promise<OutputFiles> {
  const { job, plan, folder, previewer, transformer, reporter } = context;
  reporter.phase("outputs", "Writing the LoRA");
  writeLora(context);
  const shipped = reloaded(context);
  const previews = await previewer.atTheEnd(transformer, shipped, plan.steps);
  await writePictures(previews, context);
  writeJson(folder.config, configOf(job, plan, context.dataset, previewer.prompts));
  return {
    lora_file: folder.lora,
    lora_file_comfyui: folder.loraComfyui,
    config_file: folder.config,
    video: folder.video,
    contact_sheet: folder.contactSheet,
  };
}

function writeLora({ plan, folder, lora, dataset }: OutputContext): void {
  const metadata = {
    base_model: plan.base.name,
    base_model_hash: plan.base.hash,
    trigger_phrase: plan.dataset.triggerPhrase,
    steps: String(plan.steps),
    seed: String(plan.seed),
    dataset_hash: dataset.hash,
  };
  saveLora(folder.lora, lora, { dialect: "diffusers", metadata });
  saveLora(folder.loraComfyui, lora, { dialect: "comfyui", metadata });
}

/** The LoRA as its file holds it, on the model in place of the trained one. */
function reloaded({ folder, lora, transformer, reporter }: OutputContext): Lora {
  const trained = lora.modules.size;
  lora.remove();
  const { lora: shipped, matched, unmatched } = loadLora(transformer, folder.lora, { dtype: "float32" });
  if (matched.length !== trained || unmatched.length > 0) {
    throw new Error(
      `LoRA file: ${matched.length} of ${trained} modules were matched, ${unmatched.length} keys were not`,
    );
  }
  reporter.info(`LoRA file read back: ${matched.length} of ${trained} modules matched`);
  return shipped;
}

async function writePictures(previews: FinalPreviews, { plan, folder }: OutputContext): Promise<void> {
  const { shape, reverse } = plan.validation;
  const videos = previews.on.map(({ frames }) => frames);
  await writeVideo(folder.video, videos, { ...shape, reverse });
  const rows = previews.on.map(({ prompt, frames }, index) => ({
    prompt,
    off: previews.off[index]?.frames as Uint8Array,
    on: frames,
  }));
  await writeContactSheet(folder.contactSheet, rows, shape);
}

/**
 * What an inference endpoint needs, and how it came about. Holds no time stamp: equal trainings give equal files. Sources
 * go in by name alone: the file is passed on, data and signed addresses are not.
 */
function configOf(
  job: TrainJob,
  plan: Plan,
  dataset: Dataset,
  prompts: readonly string[],
): Record<string, unknown> {
  const { validation } = plan;
  const nameOf = (source: string) => portableSourceName(source, job.source_names);
  return {
    base_model: plan.base.name,
    base_model_hash: plan.base.hash,
    lora: { rank: plan.lora.rank, alpha: plan.lora.alpha, targets: plan.lora.targets },
    trigger_phrase: plan.dataset.triggerPhrase,
    reference_video: plan.dataset.referenceVideos,
    width: validation.shape.width,
    height: validation.shape.height,
    num_frames: validation.shape.frames,
    frame_rate: validation.shape.frameRate,
    reverse: validation.reverse,
    seed: plan.seed,
    num_inference_steps: validation.steps,
    guidance_scale: validation.guidance,
    decode_timestep: validation.decodeTimestep,
    decode_noise_scale: validation.decodeNoiseScale,
    negative_prompt: validation.negativePrompt,
    validation_prompts: prompts,
    dataset_hash: dataset.hash,
    input: portableInput(job, plan, nameOf),
    plan: {
      ...plan,
      validation: {
        ...validation,
        prompts: validation.prompts.map(({ prompt, image }) => ({
          prompt,
          image: image === null ? null : nameOf(image),
        })),
      },
    },
  };
}

/** The job without what only this machine can make sense of. */
function portableInput(
  job: TrainJob,
  plan: Plan,
  nameOf: (source: string) => string,
): Record<string, unknown> {
  const { out, home, resume, address_policy, source_names, on_bad_checkpoint, ...rest } = job;
  const { training_data_url, validation, ...input } = rest;
  return {
    ...input,
    ...(job.base === undefined ? {} : { base: plan.base.name }),
    training_data_url: nameOf(training_data_url),
    validation: validation.map(({ image_url, ...item }) => ({
      ...item,
      ...(image_url ? { image_url: nameOf(image_url) } : {}),
    })),
  };
}
