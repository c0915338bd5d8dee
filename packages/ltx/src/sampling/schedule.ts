/**
 * Which noise levels a sampling passes through, and one Euler step between two of them.
 *
 * Levels are computed here with plain numbers, rounded to float32 wherever the reference stores float32: a model is
 * told `1000 * sigma`, and with the last bit different the two samplings drift apart.
 *
 * Shapes: B batch, G timestep groups, T video tokens, C latent channels.
 * Source: huggingface/diffusers@58eb52c, `scheduling_flow_match_euler_discrete.py` (set_timesteps, step) with numpy 2
 * rounding, `pipeline_ltx.py` (calculate_shift), `pipeline_ltx_condition.py` (linear_quadratic_schedule).
 */
import type { Tensor } from "@ltx-trainer/torch";

/** How noise levels are spaced; see `schedule.ts`. */
export type SchedulerConfig = {
  readonly numTrainTimesteps: number;
  readonly shift: number;
  readonly useDynamicShifting: boolean;
  readonly baseShift: number;
  readonly maxShift: number;
  readonly baseImageSeqLen: number;
  readonly maxImageSeqLen: number;
  /** The last noise level before 0, or undefined when the schedule is not stretched. */
  readonly shiftTerminal: number | undefined;
  readonly timeShiftType: "exponential" | "linear";
  /** Draw fresh noise at every step (0.9.6-distilled). */
  readonly stochasticSampling: boolean;
};

/** The levels of one sampling. */
export type SigmaSchedule = {
  /** Noise levels from high to low, one more than there are steps: the last is 0. */
  readonly sigmas: readonly number[];
  /** What the model is told at each step: level times 1000. */
  readonly timesteps: readonly number[];
};

/**
 * How levels are chosen. "flow-match": evenly spaced, shifted by the number of tokens if the configuration says so
 * (LTXPipeline). "linear-quadratic": half the steps near pure noise (LTXConditionPipeline, 0.9.5 and later).
 * "timesteps": a given list on the 0 to 1000 scale (distilled checkpoints).
 */
export type ScheduleRule =
  | { readonly kind: "flow-match"; readonly config: SchedulerConfig }
  | { readonly kind: "linear-quadratic"; readonly config: SchedulerConfig }
  | { readonly kind: "timesteps"; readonly config: SchedulerConfig; readonly timesteps: readonly number[] };

/**
 * The levels for a number of steps and tokens.
 *
 * @param steps at least 1; ignored by the "timesteps" rule
 * @throws RangeError for fewer than one step
 */
export function makeSchedule(rule: ScheduleRule, size: { steps: number; tokens: number }): SigmaSchedule {
  const { steps, tokens } = size;
  if (rule.kind === "timesteps") return fromTimesteps(rule.timesteps, rule.config, tokens);
  if (!Number.isInteger(steps) || steps < 1) {
    throw new RangeError(`steps: got ${steps}, expected a whole number of at least 1`);
  }
  if (rule.kind === "linear-quadratic") {
    const timesteps = linearQuadraticSigmas(steps).map((sigma) => Math.fround(sigma * 1000));
    return fromTimesteps(timesteps, rule.config, tokens);
  }
  return finish(evenSigmas(steps).map(Math.fround), rule.config, tokens);
}

/**
 * The shift exponent mu of a sequence length: a line through the configuration's two points, extended beyond them.
 */
export function shiftForTokens(tokens: number, config: SchedulerConfig): number {
  const { baseImageSeqLen, maxImageSeqLen, baseShift, maxShift } = config;
  const slope = (maxShift - baseShift) / (maxImageSeqLen - baseImageSeqLen);
  return tokens * slope + (baseShift - slope * baseImageSeqLen);
}

/**
 * Levels that leave pure noise slowly: a straight line down to `1 - threshold` for half the steps, then a parabola.
 * float32 values, from 1 down, without the final 0.
 */
export function linearQuadraticSigmas(steps: number, threshold = 0.025): number[] {
  if (steps < 2) return [1];
  const linearSteps = Math.floor(steps / 2);
  const quadraticSteps = steps - linearSteps;
  const difference = linearSteps - threshold * steps;
  const square = difference / (linearSteps * quadraticSteps ** 2);
  const slope = threshold / linearSteps - (2 * difference) / quadraticSteps ** 2;
  const constant = square * linearSteps ** 2;
  return Array.from({ length: steps }, (_, i) => {
    const linear = (i * threshold) / linearSteps;
    return Math.fround(1 - (i < linearSteps ? linear : square * i ** 2 + slope * i + constant));
  });
}

/** The level a step starts from and the one it goes to. */
export type Levels = { readonly sigma: number; readonly next: number };

/** One Euler step: `x + (next - sigma) * velocity`. Give float32: the sum runs over many steps. */
export function eulerStep(x: Tensor, velocity: Tensor, { sigma, next }: Levels): Tensor {
  return x.add(velocity.mul(Math.fround(next - sigma)));
}

/** All the way to the predicted clean `x`, and back up to level `next` with fresh noise. */
export function stochasticStep(x: Tensor, velocity: Tensor, noise: Tensor, { sigma, next }: Levels): Tensor {
  const clean = x.sub(velocity.mul(sigma));
  return clean.mul(Math.fround(1 - next)).add(noise.mul(next));
}

/**
 * The level a token at `timestep` goes to: the highest scheduled one clearly below its own.
 *
 * @param timestep on the 0 to 1000 scale, possibly held back below the schedule's by conditioning
 * @returns the token's own level and the next
 */
export function tokenLevels(timestep: number, schedule: SigmaSchedule): Levels {
  const sigma = Math.fround(timestep / 1000);
  const limit = Math.fround(sigma - Math.fround(1e-6));
  const next = schedule.sigmas.reduce((best, level) => (level < limit && level > best ? level : best), 0);
  return { sigma, next };
}

/** Evenly spaced from 1 to 1/steps, in float64 like `numpy.linspace`. */
function evenSigmas(steps: number): number[] {
  const last = 1 / steps;
  const stride = (last - 1) / (steps - 1);
  return Array.from({ length: steps }, (_, i) =>
    i === steps - 1 && steps > 1 ? last : i === 0 ? 1 : i * stride + 1,
  );
}

function fromTimesteps(timesteps: readonly number[], config: SchedulerConfig, tokens: number): SigmaSchedule {
  if (timesteps.length === 0) throw new RangeError("timesteps: got an empty list, expected at least one");
  const sigmas = timesteps.map((t) => Math.fround(Math.fround(t) / config.numTrainTimesteps));
  return finish(sigmas, config, tokens);
}

/** Shifts and stretches float32 levels, then appends the final 0. */
function finish(even: readonly number[], config: SchedulerConfig, tokens: number): SigmaSchedule {
  const shifted = config.useDynamicShifting
    ? shiftDynamically(even, shiftForTokens(tokens, config), config.timeShiftType)
    : even.map((sigma) => shiftBy(config.shift, sigma));
  const sigmas = config.shiftTerminal ? stretchTo(shifted, config.shiftTerminal) : shifted;
  return {
    sigmas: [...sigmas, 0],
    timesteps: sigmas.map((sigma) => Math.fround(sigma * config.numTrainTimesteps)),
  };
}

function shiftBy(shift: number, sigma: number): number {
  const numerator = Math.fround(Math.fround(shift) * sigma);
  const denominator = Math.fround(1 + Math.fround(Math.fround(shift - 1) * sigma));
  return Math.fround(numerator / denominator);
}

function shiftDynamically(sigmas: readonly number[], mu: number, type: "exponential" | "linear"): number[] {
  const weight = Math.fround(type === "exponential" ? Math.exp(mu) : mu);
  return sigmas.map((sigma) => {
    const odds = Math.fround(Math.fround(1 / sigma) - 1);
    return Math.fround(weight / Math.fround(weight + odds));
  });
}

/** Scales the distance from 1 so that the last level becomes `terminal`. */
function stretchTo(sigmas: readonly number[], terminal: number): number[] {
  const distances = sigmas.map((sigma) => Math.fround(1 - sigma));
  const scale = Math.fround(distances.at(-1)! / Math.fround(1 - terminal));
  if (scale === 0) return [...sigmas]; // a single step starts and ends at 1: nothing to stretch (the reference divides by 0)
  return distances.map((distance) => Math.fround(1 - Math.fround(distance / scale)));
}
