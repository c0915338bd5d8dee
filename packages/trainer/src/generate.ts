/**
 * A video from a base model and a LoRA; with `compare`, the same seed without the LoRA beside it.
 */
import type { GenerateJob, GenerateOutputs } from "@ltx-trainer/contract";
import { AppError } from "@ltx-trainer/contract";
import {
  type BaseModel,
  encodePrompt,
  type Lora,
  loadLora,
  snapFrames,
  type Transformer,
} from "@ltx-trainer/ltx";
import { cudaIsAvailable, keep } from "@ltx-trainer/torch";
import { type BaseProfile, openJobBase, profileOf } from "./base-models.ts";
import { choosePlacement, type Placement, releaseModel } from "./device.ts";
import type { Reporter } from "./events.ts";
import { encodeGiven } from "./given.ts";
import { writeVideo } from "./media/encode-video.ts";
import type { VideoShape } from "./plan.ts";
import { decodeSampled, type PreviewContext, samplePrompts } from "./previews.ts";
import { describeCutFor, describePromptCuts } from "./text-cut.ts";

const defaultFrames = 81;
const defaultFrameRate = 25;

export async function generateVideo(
  job: GenerateJob,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<GenerateOutputs> {
  const started = performance.now();
  reporter.phase("setup", "Opening the base model");
  const placement = choosePlacement(job);
  const base = openJobBase(job.base, job.home, cudaIsAvailable());
  const profile = profileOf(base);
  const shape = shapeOf(job, base, profile);
  const context = await prepareSampling({ job, base, profile, placement, shape, reporter, signal });

  const transformer = base.loadTransformer(placement);
  const lora = job.lora === undefined ? undefined : applyLora(transformer, job.lora, job.lora_scale);
  const sampled = await samplePrompts(transformer, "Sampling", context);
  if (job.compare && lora) {
    lora.setEnabled(false);
    sampled.unshift(...(await samplePrompts(transformer, "Sampling without the LoRA", context)));
  }
  releaseModel(transformer);
  const videos = await decodeSampled(sampled, context);
  const frames = videos.map((video) => video.frames);
  await writeVideo(job.out, frames, { ...shape, reverse: job.reverse });
  return {
    video: job.out,
    width: shape.width * frames.length,
    height: shape.height,
    frames: shape.frames,
    frame_rate: shape.frameRate,
    seed: job.seed,
    lora_modules: lora?.modules.size ?? null,
    seconds: Math.round((performance.now() - started) / 10) / 100,
  };
}

function shapeOf(job: GenerateJob, base: BaseModel, profile: BaseProfile): VideoShape {
  const { spatial, temporal } = base.compression;
  const named = profile.sizes[job.resolution][job.aspect_ratio];
  const { width = named.width, height = named.height } = job;
  for (const [name, value] of Object.entries({ width, height })) {
    if (value % spatial === 0) continue;
    const nearest = Math.max(spatial, Math.round(value / spatial) * spatial);
    throw new AppError({
      code: "invalid_options",
      message: `${name}: got ${value}, expected a multiple of ${spatial} for ${base.name}`,
      remedy: `The nearest is ${nearest}.`,
    });
  }
  const frames = snapFrames(job.number_of_frames ?? defaultFrames, temporal);
  return { width, height, frames, frameRate: job.frame_rate ?? defaultFrameRate };
}

type SamplingParts = {
  readonly job: GenerateJob;
  readonly base: BaseModel;
  readonly profile: BaseProfile;
  readonly placement: Placement;
  readonly shape: VideoShape;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
};

/** Prompts and what is given with them encoded, everything else decided. */
async function prepareSampling(parts: SamplingParts): Promise<PreviewContext> {
  const { job, base, profile, placement, shape, reporter, signal } = parts;
  reporter.phase("generate", "Reading the prompt");
  const texts = { prompt: job.prompt, negative_prompt: job.negative_prompt };
  for (const note of describePromptCuts(texts, describeCutFor(base))) reporter.warn(note);
  const tokenizer = base.loadTokenizer();
  const encoder = base.loadTextEncoder(placement);
  const embed = (text: string) =>
    keep(
      encodePrompt(tokenizer, encoder, text, base.textLength, { maskPadding: base.causalTimeCoordinates }),
    );
  const positive = embed(job.prompt);
  const negative = embed(job.negative_prompt);
  releaseModel(encoder.parameters);
  const { steps, guidance, decodeTimestep, decodeNoiseScale } = profile.sampler;
  const sources = { image: job.image ?? null, reference: job.reference ?? null };
  const [given] = await encodeGiven([sources], { base, placement, shape, autoScale: false });
  return {
    base,
    placement,
    reporter,
    signal,
    negative,
    prompts: [{ prompt: job.prompt, positive, ...given }],
    settings: {
      shape,
      steps: job.steps ?? steps,
      guidance: job.guidance ?? guidance,
      decodeTimestep,
      decodeNoiseScale,
      causalTime: base.causalTimeCoordinates,
      seed: job.seed,
    },
  };
}

/** @throws AppError `lora_invalid` when the file is no LoRA for this model */
function applyLora(transformer: Transformer, path: string, scale: number): Lora {
  try {
    return loadLora(transformer, path, { strength: scale }).lora;
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    const isMissing = "code" in cause && cause.code === "ENOENT";
    const message = isMissing ? `lora: got ${path}, which does not exist` : `lora: ${cause.message}`;
    throw new AppError({ code: "lora_invalid", message, facts: { lora: path }, cause });
  }
}
