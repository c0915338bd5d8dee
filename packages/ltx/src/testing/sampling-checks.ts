/** For tests: recorded runs of the diffusers pipelines, replayed with their noise on any device. */
import type { Tensor } from "@ltx-trainer/torch";
import { expect } from "vitest";
import type { LoadOptions, PromptEmbedding } from "../family.ts";
import { latentGrid } from "../latent-grid.ts";
import { type LtxvBase, openLtxvBase } from "../ltxv/base.ts";
import { type Condition, sampleConditioned } from "../ltxv/conditions.ts";
import { ltxv090Scheduler, ltxvCompression } from "../ltxv/config.ts";
import type { Transformer } from "../ltxv/transformer/transformer.ts";
import type { Vae } from "../ltxv/vae/vae.ts";
import { decodeVideo } from "../sampling/decode-video.ts";
import { type SampleProgress, sampleLatents } from "../sampling/sampler.ts";
import type { SchedulerConfig } from "../sampling/schedule.ts";
import { expectClose, type Tolerance } from "./expect-close.ts";
import { type Fixture, fixturePath } from "./fixture.ts";

/** Tolerances of float32 on a CPU. */
export const samplingTolerances = {
  latents: { abs: 2e-4, why: "float32 through three steps of a model (ltx-model.md 9.3, pipelines)" },
  decoded: { abs: 2e-4, why: "float32 convolutions after the loop (ltx-model.md 9.3, decode stage)" },
  embedded: { abs: 5e-5, why: "float32 sums in another order in the text encoder (ltx-model.md 9.3)" },
} satisfies Record<string, Tolerance>;

export type PipelineCase = {
  scheduler: "dynamic" | "linear" | "stochastic";
  guidance_scale: number;
  guidance_rescale?: number;
  frame_rate: number;
  num_frames: number;
  height?: number;
  width?: number;
  prompt: string | string[];
  frame_index?: number;
  strength?: number;
  image_cond_noise_scale?: number;
};

/** The models the pipelines were recorded with. */
export class Models {
  readonly base: LtxvBase;
  readonly transformer: Transformer;
  readonly vae: Vae;

  constructor(options: LoadOptions = {}) {
    this.base = openLtxvBase(fixturePath("folder/tiny"));
    this.transformer = this.base.loadTransformer({ dtype: "float32", ...options });
    this.vae = this.base.loadVae({ dtype: "float32", ...options });
  }

  free(): void {
    this.transformer.free();
    this.vae.parameters.free();
  }

  scheduler(kind: PipelineCase["scheduler"]): SchedulerConfig {
    if (kind === "dynamic") return ltxv090Scheduler;
    return { ...this.base.schedulerConfig, stochasticSampling: kind === "stochastic" };
  }

  /** Pixels to normalised latents with the recorded posterior noise. */
  encoded(pixels: Tensor, noise: Tensor): Tensor {
    const pixels_BCfhw = pixels.to("float32").div(127.5).sub(1).transpose(0, 1).unsqueeze(0);
    return this.vae.normalize(this.vae.sample(this.vae.encode(pixels_BCfhw), { noise }));
  }
}

/** The inputs of one recorded run. Noise is in the order of its draws. */
export function runOf(fixture: Fixture, { transformer }: Models) {
  const asked = fixture.case<PipelineCase>();
  const noises = fixture.names("in.noise_").map((_, i) => fixture.tensor(`in.noise_${i}`));
  const text = fixture.tensor("in.text");
  const mask = fixture.tensor("in.text_mask");
  const guided = asked.guidance_scale > 1;
  const B = text.size(0) / (guided ? 2 : 1);
  const rows = (from: number): PromptEmbedding => {
    return { text_1LD: text.narrow(0, from, B), mask_1L: mask.narrow(0, from, B) };
  };
  const { num_frames: frames, height = 64, width = 96 } = asked;
  const options = {
    transformer,
    steps: 3,
    positive: rows(guided ? B : 0),
    negative: guided ? rows(0) : undefined,
    guidance: asked.guidance_scale,
    guidanceRescale: asked.guidance_rescale,
    grid: latentGrid({ frames, height, width }, ltxvCompression),
    frameRate: asked.frame_rate,
    draw: () => noises.shift()!,
  };
  return { asked, noises, options };
}

function checkSteps(fixture: Fixture, tolerance: Tolerance): (progress: SampleProgress) => void {
  return ({ step, sigma, tokens_BTC }) => {
    expect(sigma).toBe(fixture.tensor("out.sigmas").toArray()[step - 1]);
    const reference = fixture.tensor(`out.latents_${step - 1}`);
    expectClose(`${fixture.name} step ${step}`, tokens_BTC, reference, tolerance);
  };
}

/** Every step of a text-to-video or image-to-video run agrees, and every recorded draw was used. */
export function checkVideo(fixture: Fixture, models: Models, tolerance: Tolerance): void {
  const { asked, options, noises } = runOf(fixture, models);
  const hasFirstFrame = fixture.has("in.pixels");
  const firstFrame_BC1HW = hasFirstFrame
    ? models.encoded(fixture.tensor("in.pixels"), noises.shift()!)
    : undefined;
  const steps = new Set<number>();
  const checkStep = checkSteps(fixture, tolerance);
  const latents = sampleLatents({
    ...options,
    schedule: { kind: "flow-match", config: models.scheduler(asked.scheduler) },
    firstFrame_BC1HW,
    onStep: (progress) => {
      checkStep(progress);
      steps.add(progress.step);
    },
  });
  expect(steps.size).toBe(options.steps);
  expect(noises, "recorded draws left over").toEqual([]);
  if (!firstFrame_BC1HW) return;
  expectClose(`${fixture.name} first frame`, latents.narrow(2, 0, 1), firstFrame_BC1HW, {
    abs: 0,
    why: "held",
  });
}

/** Every step of a run of LTXConditionPipeline agrees, and its latents. */
export function checkConditioned(fixture: Fixture, models: Models, tolerance: Tolerance): void {
  const { asked, options, noises } = runOf(fixture, models);
  const conditions: Condition[] = [];
  if (fixture.has("in.pixels")) {
    // The pipeline draws the posterior's noise after the start noise.
    const [posterior] = noises.splice(1, 1);
    const { frame_index: frameIndex = 0, strength = 1 } = asked;
    const latents_BCFHW = models.encoded(fixture.tensor("in.pixels"), posterior!);
    conditions.push({ latents_BCFHW, frameIndex, strength });
  }
  const latents = sampleConditioned({
    ...options,
    conditions,
    schedule: { kind: "linear-quadratic", config: models.scheduler(asked.scheduler) },
    imageNoiseScale: asked.image_cond_noise_scale,
    onStep: checkSteps(fixture, tolerance),
  });
  expectClose(`${fixture.name} final`, latents, fixture.tensor("out.unpacked"), tolerance);
  expect(noises, "recorded draws left over").toEqual([]);
}

/** Noise is mixed in and latents are decoded like at the end of LTXPipeline. @param fixture `pipeline/decode` */
export function checkDecoded(fixture: Fixture, { vae }: Models, tolerance: Tolerance): void {
  type Names = "decode_timestep" | "decode_noise_scale" | "row_step" | "column_step";
  const asked = fixture.case<Record<Names, number>>();
  const grid = latentGrid({ frames: 9, height: 64, width: 96 }, ltxvCompression);
  const latents = fixture.tensor("in.latents").transpose(1, 2).unflatten(2, [grid.F, grid.H, grid.W]);
  const pixels = decodeVideo(vae, latents, {
    decodeTimestep: asked.decode_timestep,
    decodeNoiseScale: asked.decode_noise_scale,
    draw: () => fixture.tensor("in.decode_noise"),
  });
  const stepped = pixels.slice(3, 0, undefined, asked.row_step).slice(4, 0, undefined, asked.column_step);
  expectClose(`${fixture.name} pixels`, stepped, fixture.tensor("out.pixels_stepped"), tolerance);
}
