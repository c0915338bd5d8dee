/**
 * Preview videos of the validation prompts: the same seed with the LoRA and without it.
 *
 * The noise comes from a CPU generator seeded with the job's seed, drawn as diffusers draws it, so the same seed in
 * another program starts from the same noise.
 *
 * Shapes: C channels, F H W latent frames, height, width.
 */
import {
  type BaseModel,
  decodeVideo,
  type Lora,
  latentGrid,
  type PromptEmbedding,
  sampleLatents,
  type VideoTransformer,
} from "@ltx-trainer/ltx";
import { Generator, keep, scope, type Tensor } from "@ltx-trainer/torch";
import { bytesFromPixels, nextTurn } from "../cache/encode.ts";
import { type Placement, releaseModel } from "../models/device.ts";
import type { VideoShape } from "../plan.ts";
import type { Reporter } from "../process/events.ts";
import { stopIfAsked } from "../process/interrupt.ts";
import { stoppable } from "../process/stop-file.ts";

export type PreviewSettings = {
  readonly shape: VideoShape;
  readonly steps: number;
  readonly guidance: number;
  readonly decodeTimestep: number;
  readonly decodeNoiseScale: number;
  readonly causalTime: boolean;
  readonly seed: number;
};

/** One video to make. */
export type PreviewPrompt = {
  readonly prompt: string;
  readonly positive: PromptEmbedding;
  /** Normalised latents of a given first frame. */
  readonly firstFrame_1C1HW?: Tensor | undefined;
  /** Normalised latents of the video to follow. */
  readonly reference_1CFHW?: Tensor | undefined;
};

/** Latents of one video, and the generator as sampling left it: decoding draws its noise from there. */
type Sampled = { readonly latents_1CFHW: Tensor; readonly generator: Generator };

/** Frames of one video as bytes `[f, h, w, 3]`. */
export type PreviewVideo = { readonly prompt: string; readonly frames: Uint8Array };

export type PreviewContext = {
  readonly base: BaseModel;
  readonly placement: Placement;
  readonly settings: PreviewSettings;
  readonly prompts: readonly PreviewPrompt[];
  readonly negative: PromptEmbedding;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
};

/** Latents of every prompt with the model as it stands, on the CPU, kept. */
export async function samplePrompts(
  transformer: VideoTransformer,
  title: string,
  context: PreviewContext,
): Promise<Sampled[]> {
  const { settings, prompts, reporter } = context;
  const total = prompts.length * settings.steps;
  const sampled: Sampled[] = [];
  for (const [index, prompt] of prompts.entries()) {
    const generator = new Generator(settings.seed);
    const onStep = (done: number) =>
      reporter.phase("validate", title, { done: index * settings.steps + done, total });
    const latents_1CFHW = keep(
      stoppable(context.signal, () => sampleOne(transformer, prompt, generator, onStep, context)),
    );
    sampled.push({ latents_1CFHW, generator });
    await nextTurn();
    stopIfAsked(context.signal);
  }
  return sampled;
}

function sampleOne(
  transformer: VideoTransformer,
  prompt: PreviewPrompt,
  generator: Generator,
  onStep: (done: number) => void,
  context: PreviewContext,
): Tensor {
  const { base, settings } = context;
  const { device } = transformer;
  const moved = (embedding: PromptEmbedding): PromptEmbedding => ({
    text_1LD: embedding.text_1LD.to({ device }),
    mask_1L: embedding.mask_1L.to({ device }),
  });
  return scope(() =>
    sampleLatents({
      transformer,
      schedule: base.defaults.schedule,
      positive: moved(prompt.positive),
      negative: moved(context.negative),
      guidance: settings.guidance,
      steps: settings.steps,
      grid: latentGrid(settings.shape, base.compression),
      frameRate: settings.shape.frameRate,
      causalTime: settings.causalTime,
      generator,
      firstFrame_BC1HW: prompt.firstFrame_1C1HW,
      reference_BCFHW: prompt.reference_1CFHW,
      onStep: ({ step }) => onStep(step),
    }).to("cpu"),
  );
}

/** The videos of sampled latents, with a VAE loaded for the purpose. Frees the latents. */
export async function decodeSampled(
  sampled: readonly Sampled[],
  context: PreviewContext,
): Promise<PreviewVideo[]> {
  const { base, placement, prompts, reporter, settings } = context;
  const vae = base.loadVae(placement);
  const videos: PreviewVideo[] = [];
  try {
    for (const [index, { latents_1CFHW, generator }] of sampled.entries()) {
      reporter.phase("validate", "Decoding videos", { done: index, total: sampled.length });
      const { decodeTimestep, decodeNoiseScale } = settings;
      const frames = stoppable(context.signal, () =>
        scope(() => {
          const latents = latents_1CFHW.to({ device: placement.device });
          return bytesFromPixels(decodeVideo(vae, latents, { decodeTimestep, decodeNoiseScale, generator }));
        }),
      );
      latents_1CFHW.free();
      videos.push({ prompt: (prompts[index % prompts.length] as PreviewPrompt).prompt, frames });
      await nextTurn();
      stopIfAsked(context.signal);
    }
    reporter.phase("validate", "Decoding videos", { done: sampled.length, total: sampled.length });
  } finally {
    releaseModel(vae.parameters);
  }
  return videos;
}

/** Every prompt with the LoRA and without it, in the order of the prompts. */
export async function sampleOnAndOff(
  transformer: VideoTransformer,
  lora: Lora,
  context: PreviewContext,
): Promise<{ readonly on: Sampled[]; readonly off: Sampled[] }> {
  const on = await samplePrompts(transformer, "Sampling with the LoRA", context);
  lora.setEnabled(false);
  try {
    return { on, off: await samplePrompts(transformer, "Sampling without the LoRA", context) };
  } finally {
    lora.setEnabled(true);
  }
}
