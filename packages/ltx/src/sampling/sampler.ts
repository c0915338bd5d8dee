/**
 * From noise to latents: text-to-video, image-to-video with a given first frame, video-to-video with a reference.
 *
 * Idea: start at pure noise and follow the predicted velocity from level to level. A given first frame stays clean:
 * its tokens are told timestep 0 and are never stepped. So do a reference video's (IC-LoRA), which stand in front of
 * the sequence, at the same positions as the video's own, and are cut off at the end.
 *
 * Shapes: B batch, C latent channels, F H W latent frames, height, width, T video tokens, G timestep groups.
 * Source: huggingface/diffusers@58eb52c, `pipeline_ltx.py` and `pipeline_ltx_image2video.py`; for the reference
 * Lightricks/LTX-Video-Trainer@31b1273, `ltxv_pipeline.py`. Different on purpose: fresh noise of stochastic sampling
 * comes from the given generator, not from a global one, and the reference is as clean as it was in training.
 */
import { cat, full, noGrad, scope, type Tensor, tensor } from "@ltx-trainer/torch";
import { type LatentGrid, packLatents, unpackLatents } from "../latent-grid.ts";
import { type GuidanceOptions, GuidedModel } from "./guidance.ts";
import { drawNoise, type NoiseOptions } from "./noise.ts";
import { eulerStep, makeSchedule, type ScheduleRule, stochasticStep } from "./schedule.ts";

/** What a caller sees after each step. The tensor is freed when the callback returns. */
export type SampleProgress = {
  /** Steps done, from 1. */
  readonly step: number;
  readonly steps: number;
  readonly sigma: number;
  /** With a reference, its tokens come first. */
  readonly tokens_BTC: Tensor;
};

export type SampleOptions = GuidanceOptions &
  NoiseOptions & {
    readonly schedule: ScheduleRule;
    readonly steps: number;
    readonly grid: LatentGrid;
    /** Frames per second of the video in pixels. */
    readonly frameRate: number;
    /** Whether latent frames are placed at their true start in time (`ModelDefaults`). Default false. */
    readonly causalTime?: boolean | undefined;
    /** Normalised latents of the first frame. */
    readonly firstFrame_BC1HW?: Tensor | undefined;
    /** Normalised latents of the video an IC-LoRA transforms, of the same grid. */
    readonly reference_BCFHW?: Tensor | undefined;
    /** Called after every step; throwing ends the sampling. */
    readonly onStep?: ((progress: SampleProgress) => void) | undefined;
  };

/**
 * Normalised float32 latents `[B,C,F,H,W]` of one sampling.
 *
 * Reads neither clock nor global random state: the same options give the same latents.
 *
 * @throws RangeError when there is nothing to draw noise from, a first frame leaves nothing to sample, or a reference
 *   has another grid
 */
export function sampleLatents(options: SampleOptions): Tensor {
  return noGrad(() =>
    scope(() => {
      const { grid, frameRate, causalTime = false } = options;
      const schedule = makeSchedule(options.schedule, { steps: options.steps, tokens: grid.tokens });
      const held = heldFrames(options);
      const model = new GuidedModel(options, { grid, videos: held.videos, frameRate, causalTime });
      const heldTokens = held.frames * grid.H * grid.W;
      let tokens_BTC = startTokens(options);
      schedule.timesteps.forEach((timestep, i) => {
        const levels = { sigma: schedule.sigmas[i]!, next: schedule.sigmas[i + 1]! };
        const stepped_BTC = scope(() => {
          const timestep_BG = tokenTimesteps(timestep, tokens_BTC, held);
          const velocity_BTC = model.velocity(tokens_BTC, timestep_BG);
          return stepTokens(options, { tokens_BTC, velocity_BTC, heldTokens, ...levels });
        });
        tokens_BTC.free();
        tokens_BTC = stepped_BTC;
        options.onStep?.({ step: i + 1, steps: schedule.timesteps.length, sigma: levels.sigma, tokens_BTC });
      });
      const all = tokens_BTC.size(1);
      return unpackLatents(tokens_BTC.narrow(1, all - grid.tokens, grid.tokens), grid);
    }),
  );
}

/** Latent frames at the start of the sequence that are given, of all those in it. */
type HeldFrames = { readonly videos: number; readonly frames: number; readonly of: number };

function heldFrames({ grid, firstFrame_BC1HW, reference_BCFHW }: SampleOptions): HeldFrames {
  const { F, H, W } = grid;
  if (firstFrame_BC1HW !== undefined && F === 1)
    throw new RangeError("firstFrame: got a video of one latent frame, expected more");
  const first = firstFrame_BC1HW === undefined ? 0 : 1;
  if (reference_BCFHW === undefined) return { videos: 1, frames: first, of: F };
  const cells = reference_BCFHW.shape.slice(2).join("x");
  if (cells !== `${F}x${H}x${W}`)
    throw new RangeError(`reference: got ${cells} cells, expected the video's ${F}x${H}x${W}`);
  return { videos: 2, frames: F + first, of: 2 * F };
}

/** The video's tokens as they start, behind the reference's. */
function startTokens(options: SampleOptions): Tensor {
  const own_BTC = packLatents(startLatents(options));
  if (options.reference_BCFHW === undefined) return own_BTC;
  const reference_BTC = packLatents(options.reference_BCFHW.to({ dtype: "float32", device: own_BTC.device }));
  return cat([reference_BTC.expand(own_BTC.shape), own_BTC], 1);
}

/** Noise, with the first latent frame replaced by the given one. */
function startLatents(options: SampleOptions): Tensor {
  const { F, H, W } = options.grid;
  const { device, latentChannels } = options.transformer;
  const shape = [options.positive.text_1LD.size(0), latentChannels, F, H, W];
  const noise_BCFHW = drawNoise(options, shape, { dtype: "float32", device });
  if (options.firstFrame_BC1HW === undefined) return noise_BCFHW;
  const firstFrame_BC1HW = options.firstFrame_BC1HW.to({ dtype: "float32", device });
  return cat([firstFrame_BC1HW, noise_BCFHW.narrow(2, 1, F - 1)], 2);
}

/** One timestep per sample, or one per latent frame with the held ones at 0 (clean): `[B,1]` or `[B,F]`. */
function tokenTimesteps(timestep: number, tokens_BTC: Tensor, held: HeldFrames): Tensor {
  const { device } = tokens_BTC;
  const B = tokens_BTC.size(0);
  if (held.frames === 0) return full([B, 1], timestep, { dtype: "float32", device });
  const row = Array.from({ length: held.of }, (_, f) => (f < held.frames ? 0 : timestep));
  return tensor([row], { dtype: "float32", device }).expand([B, held.of]);
}

type Step = {
  readonly tokens_BTC: Tensor;
  readonly velocity_BTC: Tensor;
  readonly heldTokens: number;
  readonly sigma: number;
  readonly next: number;
};

/** Moves every token but the held ones, which come first. */
function stepTokens(options: SampleOptions, step: Step): Tensor {
  const { heldTokens, sigma, next } = step;
  const rest = step.tokens_BTC.size(1) - heldTokens;
  const x_BTC = step.tokens_BTC.narrow(1, heldTokens, rest);
  const velocity_BTC = step.velocity_BTC.narrow(1, heldTokens, rest);
  const moved_BTC = options.schedule.config.stochasticSampling
    ? stochasticStep(x_BTC, velocity_BTC, drawNoise(options, x_BTC.shape, x_BTC), { sigma, next })
    : eulerStep(x_BTC, velocity_BTC, { sigma, next });
  return heldTokens === 0 ? moved_BTC : cat([step.tokens_BTC.narrow(1, 0, heldTokens), moved_BTC], 1);
}
