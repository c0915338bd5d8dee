/**
 * From noise to latents: text-to-video, and image-to-video with a given first frame.
 *
 * Idea: start at pure noise and follow the predicted velocity from level to level. A given first frame stays clean:
 * its tokens are told timestep 0 and are never stepped.
 *
 * Shapes: B batch, C latent channels, F H W latent frames, height, width, T video tokens, G timestep groups.
 * Source: huggingface/diffusers@58eb52c, `pipeline_ltx.py` and `pipeline_ltx_image2video.py`. Different on purpose:
 * fresh noise of stochastic sampling comes from the given generator, not from a global one.
 */
import { cat, full, noGrad, scope, type Tensor, tensor } from "@ltx-trainer/torch";
import { type GuidanceOptions, GuidedModel } from "./guidance.ts";
import { type LatentGrid, packLatents, unpackLatents } from "./latent-grid.ts";
import { drawNoise, type NoiseOptions } from "./noise.ts";
import { eulerStep, makeSchedule, type ScheduleRule, stochasticStep } from "./schedule.ts";

/** What a caller sees after each step. The tensor is freed when the callback returns. */
export type SampleProgress = {
  /** Steps done, from 1. */
  readonly step: number;
  readonly steps: number;
  readonly sigma: number;
  readonly tokens_BTC: Tensor;
};

export type SampleOptions = GuidanceOptions &
  NoiseOptions & {
    readonly schedule: ScheduleRule;
    readonly steps: number;
    readonly grid: LatentGrid;
    /** Frames per second of the video in pixels. */
    readonly frameRate: number;
    /** Time positions of checkpoints from 0.9.5 on (`BaseModel.causalTimeCoordinates`). Default false. */
    readonly causalTime?: boolean | undefined;
    /** Normalised latents of the first frame. */
    readonly firstFrame_BC1HW?: Tensor | undefined;
    /** Called after every step; throwing ends the sampling. */
    readonly onStep?: ((progress: SampleProgress) => void) | undefined;
  };

/**
 * Normalised float32 latents `[B,C,F,H,W]` of one sampling.
 *
 * Reads neither clock nor global random state: the same options give the same latents.
 *
 * @throws RangeError when there is nothing to draw noise from, or a first frame leaves nothing to sample
 */
export function sampleLatents(o: SampleOptions): Tensor {
  return noGrad(() =>
    scope(() => {
      const { grid, frameRate, causalTime = false } = o;
      const schedule = makeSchedule(o.schedule, { steps: o.steps, tokens: grid.tokens });
      const model = new GuidedModel(o, { grid, frameRate, causalTime });
      const heldTokens = o.firstFrame_BC1HW === undefined ? 0 : grid.H * grid.W;
      if (heldTokens === grid.tokens)
        throw new RangeError("firstFrame: got a video of one latent frame, expected more");
      let tokens_BTC = packLatents(startLatents(o));
      schedule.timesteps.forEach((timestep, i) => {
        const levels = { sigma: schedule.sigmas[i]!, next: schedule.sigmas[i + 1]! };
        const stepped_BTC = scope(() => {
          const timestep_BG = tokenTimesteps(timestep, tokens_BTC, heldTokens > 0 ? grid.F : 1);
          const velocity_BTC = model.velocity(tokens_BTC, timestep_BG);
          return stepTokens(o, { tokens_BTC, velocity_BTC, heldTokens, ...levels });
        });
        tokens_BTC.free();
        tokens_BTC = stepped_BTC;
        o.onStep?.({ step: i + 1, steps: schedule.timesteps.length, sigma: levels.sigma, tokens_BTC });
      });
      return unpackLatents(tokens_BTC, grid);
    }),
  );
}

/** Noise, with the first latent frame replaced by the given one. */
function startLatents(o: SampleOptions): Tensor {
  const { F, H, W } = o.grid;
  const { device, config } = o.transformer;
  const shape = [o.positive.text_1LD.size(0), config.inChannels, F, H, W];
  const noise_BCFHW = drawNoise(o, shape, { dtype: "float32", device });
  if (o.firstFrame_BC1HW === undefined) return noise_BCFHW;
  const firstFrame_BC1HW = o.firstFrame_BC1HW.to({ dtype: "float32", device });
  return cat([firstFrame_BC1HW, noise_BCFHW.narrow(2, 1, F - 1)], 2);
}

/** One timestep per sample, or per latent frame with frame 0 at 0 (clean): `[B,1]` or `[B,F]`. */
function tokenTimesteps(timestep: number, tokens_BTC: Tensor, groups: number): Tensor {
  const { device } = tokens_BTC;
  const B = tokens_BTC.size(0);
  if (groups === 1) return full([B, 1], timestep, { dtype: "float32", device });
  const row = Array.from({ length: groups }, (_, f) => (f === 0 ? 0 : timestep));
  return tensor([row], { dtype: "float32", device }).expand([B, groups]);
}

type Step = {
  readonly tokens_BTC: Tensor;
  readonly velocity_BTC: Tensor;
  readonly heldTokens: number;
  readonly sigma: number;
  readonly next: number;
};

/** Moves every token but the held ones, which come first. */
function stepTokens(o: SampleOptions, step: Step): Tensor {
  const { heldTokens, sigma, next } = step;
  const rest = step.tokens_BTC.size(1) - heldTokens;
  const x_BTC = step.tokens_BTC.narrow(1, heldTokens, rest);
  const velocity_BTC = step.velocity_BTC.narrow(1, heldTokens, rest);
  const moved_BTC = o.schedule.config.stochasticSampling
    ? stochasticStep(x_BTC, velocity_BTC, drawNoise(o, x_BTC.shape, x_BTC), { sigma, next })
    : eulerStep(x_BTC, velocity_BTC, { sigma, next });
  return heldTokens === 0 ? moved_BTC : cat([step.tokens_BTC.narrow(1, 0, heldTokens), moved_BTC], 1);
}
