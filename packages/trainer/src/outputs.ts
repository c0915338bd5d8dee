/**
 * What a training leaves behind: the LoRA in both dialects, the configuration, the validation video, the contact sheet.
 *
 * The previews are made from the LoRA file as written, read back and applied: what is shown is what will be shipped.
 */
import type { TrainJob, TrainOutputs } from "@ltx-trainer/contract";
import { type Lora, loadLora, saveLora, type VideoTransformer } from "@ltx-trainer/ltx";
import type { Dataset } from "./dataset/types.ts";
import { type JobFolder, writeJson } from "./job-folder.ts";
import { type SheetRow, writeContactSheet } from "./media/contact-sheet.ts";
import { writeVideo } from "./media/encode-video.ts";
import type { Plan } from "./plan.ts";
import { portableJob, portablePlan } from "./portable.ts";
import type { Reporter } from "./process/events.ts";
import { isInterruption } from "./process/interrupt.ts";
import type { FinalPreviews, Previewer } from "./sampling/previewer.ts";

export type OutputContext = {
  readonly job: TrainJob;
  readonly plan: Plan;
  readonly folder: JobFolder;
  readonly dataset: Dataset;
  readonly transformer: VideoTransformer;
  readonly lora: Lora;
  readonly previewer: Previewer;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
};

/** The LoRA and its configuration: with these on disk a training has succeeded. */
export type LoraFiles = Pick<TrainOutputs, "lora_file" | "lora_file_comfyui" | "config_file">;

/** Null for what could not be made, with the reason. */
export type Pictures = Pick<TrainOutputs, "video" | "contact_sheet" | "video_error">;

/** Writes the LoRA, and `config.json` last: where it is, the LoRA files are complete. */
export function writeLoraFiles(context: OutputContext): LoraFiles {
  const { job, plan, folder, previewer, reporter, dataset } = context;
  reporter.phase("outputs", "Writing the LoRA");
  writeLora(context);
  writeJson(folder.config, configOf(job, plan, dataset, previewer.prompts));
  return { lora_file: folder.lora, lora_file_comfyui: folder.loraComfyui, config_file: folder.config };
}

/**
 * The videos and the contact sheet, made with the LoRA as its file holds it. Nothing that goes wrong here fails the
 * training. Takes the LoRA off the model.
 *
 * @throws AppError `interrupted`, and nothing else
 */
export async function writePictures(context: OutputContext): Promise<Pictures> {
  const { plan, folder, previewer, transformer } = context;
  const previews = await attempt("validation video", context, () =>
    previewer.atTheEnd(transformer, reloaded(context), plan.steps),
  );
  if ("failure" in previews) return { video: null, contact_sheet: null, video_error: previews.failure };
  const { shape, reverse } = plan.validation;
  const videos = previews.made.on.map(({ frames }) => frames);
  const { signal } = context;
  const video = await attempt("validation video", context, () =>
    writeVideo(folder.video, videos, { ...shape, reverse, signal }),
  );
  const sheet = await attempt("contact sheet", context, () =>
    writeContactSheet(folder.contactSheet, sheetRows(previews.made), shape),
  );
  return {
    video: "failure" in video ? null : folder.video,
    contact_sheet: "failure" in sheet ? null : folder.contactSheet,
    ...("failure" in video && { video_error: video.failure }),
  };
}

type Attempt<T> = { readonly made: T } | { readonly failure: string };

/** A failure becomes a warning that says how to make up for it. */
async function attempt<T>(
  what: string,
  { previewer, reporter, signal }: OutputContext,
  make: () => Promise<T>,
): Promise<Attempt<T>> {
  try {
    return { made: await make() };
  } catch (error) {
    if (isInterruption(error, signal)) throw error;
    const { code, message } = previewer.explain(error);
    reporter.warn(
      `${what}: not made: ${message}. The LoRA is complete; \`ltx-trainer generate --lora\` makes videos with it.`,
      { code },
    );
    return { failure: message };
  }
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

function sheetRows({ on, off }: FinalPreviews): SheetRow[] {
  return on.map(({ prompt, frames }, index) => ({
    prompt,
    off: off[index]?.frames as Uint8Array,
    on: frames,
  }));
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
    input: portableJob(job, plan),
    plan: portablePlan(plan, job.source_names),
  };
}
