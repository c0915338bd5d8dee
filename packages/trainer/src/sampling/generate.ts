/**
 * A video from a base model and a LoRA; with `compare`, the same seed without the LoRA beside it.
 */
import {
  AppError,
  defaultNegativePrompt,
  type GenerateJob,
  type GenerateOutputs,
} from "@ltx-trainer/contract";
import {
  type BaseModel,
  type LoadedLora,
  loadLora,
  snapFrames,
  type VideoTransformer,
} from "@ltx-trainer/ltx";
import { areFinite, cudaIsAvailable, keep } from "@ltx-trainer/torch";
import { requireWritable } from "../files/output-file.ts";
import { requireVideoEncoder, writeVideo } from "../media/encode-video.ts";
import { type BaseProfile, listModels, openJobBase, profileOf } from "../models/base-models.ts";
import { choosePlacement, type Placement, releaseModel } from "../models/device.ts";
import { describeUnseenBy, describeUnseenPrompts } from "../models/unseen-text.ts";
import { requireVideoAfterImage } from "../plan.ts";
import type { Reporter } from "../process/events.ts";
import { encodeGiven } from "./inputs.ts";
import { type LoraDefaults, readLoraDefaults, toLoraFault } from "./lora-defaults.ts";
import { decodeSampled, type PreviewContext, type PreviewSettings, samplePrompts } from "./previews.ts";

/** Of a video whose LoRA says nothing about it. */
const fallbacks = {
  frames: 81,
  frameRate: 25,
  resolution: "medium",
  aspectRatio: "1:1",
  negativePrompt: defaultNegativePrompt,
} as const;

export async function generateVideo(
  job: GenerateJob,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<GenerateOutputs> {
  const started = performance.now();
  requireWritable(job.out, { extension: ".mp4", overwrite: job.overwrite });
  reporter.phase("setup", "Opening the base model");
  await requireVideoEncoder(signal);
  const placement = choosePlacement(job);
  const wishes = job.lora === undefined ? {} : readLoraDefaults(job.lora);
  const base = openJobBase(
    job.base ?? installedName(wishes.base_model, job.home),
    job.home,
    cudaIsAvailable(),
  );
  const settings = settingsOf(job, { base, profile: profileOf(base), wishes });
  const { shape } = settings;
  sayWhatFollows(job, settings, { base, wishes, reporter });
  const context = await prepareSampling({ job, base, placement, settings, reporter, signal });

  const transformer = base.loadTransformer(placement);
  const applied =
    job.lora === undefined ? undefined : applyLora(transformer, job.lora, { job, base, reporter });
  const sampled = await samplePrompts(transformer, "Sampling", context);
  if (job.compare && applied) {
    applied.lora.setEnabled(false);
    sampled.unshift(...(await samplePrompts(transformer, "Sampling without the LoRA", context)));
  }
  releaseModel(transformer);
  const videos = await decodeSampled(sampled, context);
  const frames = videos.map((video) => video.frames);
  await writeVideo(job.out, frames, { ...shape, reverse: job.reverse, signal });
  return {
    video: job.out,
    width: shape.width * frames.length,
    height: shape.height,
    frames: shape.frames,
    frame_rate: shape.frameRate,
    seed: job.seed,
    lora_modules: applied?.matched.length ?? null,
    lora_keys_unmatched: applied?.unmatched.length ?? null,
    seconds: Math.round((performance.now() - started) / 10) / 100,
  };
}

/** A LoRA's base model if it can be named here; else the usual default decides. */
function installedName(name: string | undefined, home: string): string | undefined {
  const isInstalled = listModels(home).models.some((model) => model.name === name && !model.problem);
  return isInstalled ? name : undefined;
}

type Settings = PreviewSettings & { readonly negativePrompt: string };

/** What the user asked for, else what the LoRA was made for, else what the base model likes. */
function settingsOf(
  job: GenerateJob,
  around: { readonly base: BaseModel; readonly profile: BaseProfile; readonly wishes: LoraDefaults },
): Settings {
  const { base, profile, wishes } = around;
  const { sampler } = profile;
  const wanted = job.number_of_frames ?? wishes.num_frames ?? fallbacks.frames;
  const frames = snapFrames(wanted, base.compression.temporal);
  if (job.image !== undefined) requireVideoAfterImage(frames, "number_of_frames", base);
  return {
    shape: {
      ...sizeOf(job, around),
      frames,
      frameRate: job.frame_rate ?? wishes.frame_rate ?? fallbacks.frameRate,
    },
    steps: job.steps ?? wishes.num_inference_steps ?? sampler.steps,
    guidance: job.guidance ?? wishes.guidance_scale ?? sampler.guidance,
    decodeTimestep: wishes.decode_timestep ?? sampler.decodeTimestep,
    decodeNoiseScale: wishes.decode_noise_scale ?? sampler.decodeNoiseScale,
    negativePrompt: job.negative_prompt ?? wishes.negative_prompt ?? fallbacks.negativePrompt,
    causalTime: base.defaults.causalTime,
    seed: job.seed,
  };
}

function sizeOf(
  job: GenerateJob,
  {
    base,
    profile,
    wishes,
  }: { readonly base: BaseModel; readonly profile: BaseProfile; readonly wishes: LoraDefaults },
): { readonly width: number; readonly height: number } {
  const isNamed = job.resolution !== undefined || job.aspect_ratio !== undefined;
  const named =
    profile.sizes[job.resolution ?? fallbacks.resolution][job.aspect_ratio ?? fallbacks.aspectRatio];
  const own = isNamed ? {} : wishes;
  const { width = own.width ?? named.width, height = own.height ?? named.height } = job;
  const { spatial } = base.compression;
  for (const [name, value] of Object.entries({ width, height })) {
    if (value % spatial === 0) continue;
    const nearest = Math.max(spatial, Math.round(value / spatial) * spatial);
    throw new AppError({
      code: "invalid_options",
      message: `${name}: got ${value}, expected a multiple of ${spatial} for ${base.name}`,
      remedy: `The nearest is ${nearest}.`,
    });
  }
  return { width, height };
}

/** Which numbers apply, and whose they are. */
function sayWhatFollows(
  job: GenerateJob,
  { shape, steps, guidance }: Settings,
  about: { readonly base: BaseModel; readonly wishes: LoraDefaults; readonly reporter: Reporter },
): void {
  const { base, wishes, reporter } = about;
  const video = `${shape.width}x${shape.height}, ${shape.frames} frames at ${shape.frameRate}/s`;
  const whose = wishes.num_frames === undefined ? "" : "; what was not given is the LoRA's own (config.json)";
  reporter.info(`${base.name}: ${video}, ${steps} steps, guidance ${guidance}${whose}`);
  const asked = job.number_of_frames;
  if (asked !== undefined && asked !== shape.frames)
    reporter.info(
      `number_of_frames: ${asked} became ${shape.frames}, the nearest ${base.compression.temporal}k + 1 not above it`,
    );
  if (wishes.base_model !== undefined && wishes.base_model !== base.name)
    reporter.warn(`lora: it was trained on ${wishes.base_model}, and is used on ${base.name}`);
}

type SamplingParts = {
  readonly job: GenerateJob;
  readonly base: BaseModel;
  readonly placement: Placement;
  readonly settings: Settings;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
};

/** Prompts and what is given with them encoded, everything else decided. */
async function prepareSampling(parts: SamplingParts): Promise<PreviewContext> {
  const { job, base, placement, settings, reporter, signal } = parts;
  const { shape, negativePrompt } = settings;
  reporter.phase("generate", "Reading the prompt");
  const texts = { prompt: job.prompt, negative_prompt: negativePrompt };
  for (const note of describeUnseenPrompts(texts, describeUnseenBy(base))) reporter.warn(note);
  const encoder = base.loadPromptEncoder(placement);
  const { textLength: length, maskTextPadding: maskPadding } = base.defaults;
  const embed = (text: string) => keep(encoder.encode(text, { length, maskPadding }));
  const positive = embed(job.prompt);
  const negative = embed(negativePrompt);
  releaseModel(encoder.parameters);
  const sources = { image: job.image ?? null, reference: job.reference ?? null };
  const [given] = await encodeGiven([sources], { base, placement, shape, autoScale: false, signal });
  return {
    base,
    placement,
    reporter,
    signal,
    negative,
    prompts: [{ prompt: job.prompt, positive, ...given }],
    settings,
  };
}

/** @throws AppError `lora_invalid` when the file is no LoRA for this model, or holds no numbers */
function applyLora(
  transformer: VideoTransformer,
  path: string,
  { job, base, reporter }: Pick<SamplingParts, "job" | "base" | "reporter">,
): LoadedLora {
  const loaded = loadOrRefuse(transformer, path, job.lora_scale);
  if (!areFinite(loaded.lora.parameters().values()))
    throw new AppError({
      code: "lora_invalid",
      message: `lora: ${path} holds weights that are not finite numbers: its training diverged`,
      facts: { lora: path },
    });
  const { unmatched } = loaded;
  if (unmatched.length > 0) {
    const shown = unmatched.slice(0, 4).join(", ");
    const more = unmatched.length > 4 ? ` and ${unmatched.length - 4} more` : "";
    reporter.warn(
      `lora: ${unmatched.length} keys of the file match no layer of ${base.name} and were not applied: ${shown}${more}`,
      { unmatched: unmatched.slice(0, 100) },
    );
  }
  return loaded;
}

function loadOrRefuse(transformer: VideoTransformer, path: string, strength: number): LoadedLora {
  try {
    return loadLora(transformer, path, { strength });
  } catch (cause) {
    throw toLoraFault(path, cause);
  }
}
