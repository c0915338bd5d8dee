/**
 * Sampling with images or clips as conditions at any frame, each with its own strength, and from given latents.
 *
 * Idea: a condition at frame 0 is mixed into the start latents. A later one becomes extra tokens in front of the sequence,
 * with their own positions, which are removed at the end. The noise level of a token of strength s is at most `1 - s`. At
 * strength 1 it gets only a little noise, which helps motion.
 *
 * Shapes: B batch, C latent channels, F H W latent frames, height, width, T tokens (extra ones first), G groups: the
 * latent frames of that sequence, H * W tokens each.
 * Source: huggingface/diffusers@58eb52c, `pipeline_ltx_condition.py` (prepare_latents, denoising loop) and the
 * per-token branch of `scheduling_flow_match_euler_discrete.py`. The caller encodes the conditions to
 * latents.
 */
import { cat, noGrad, scope, stack, type Tensor, tensor } from "@ltx-trainer/torch";
import { gridOf, type LatentGrid, packLatents, unpackLatents } from "../latent-grid.ts";
import { type GuidanceOptions, GuidedModel } from "../sampling/guidance.ts";
import { drawNoise, type NoiseOptions } from "../sampling/noise.ts";
import type { SampleProgress } from "../sampling/sampler.ts";
import { makeSchedule, type ScheduleRule, type SigmaSchedule, tokenLevels } from "../sampling/schedule.ts";
import { causalCoords, ropeFromCoords, secondsOf } from "./transformer/rope.ts";
import type { Transformer, TransformerInputs } from "./transformer/transformer.ts";

const prefixFrames = 2;
const epsilon = 1e-6;

export type Condition = {
  /** Normalised latents of one image or of a clip of 8k + 1 frames, of the video's height and width. */
  readonly latents_BCFHW: Tensor;
  /** Pixel frame of the video at which it starts. */
  readonly frameIndex: number;
  /** 0 (no effect) to 1 (kept unchanged). */
  readonly strength: number;
};

export type ConditionedSampleOptions = Omit<GuidanceOptions, "transformer"> &
  NoiseOptions & {
    readonly transformer: Transformer;
    readonly schedule: ScheduleRule;
    readonly steps: number;
    readonly grid: LatentGrid;
    readonly frameRate: number;
    readonly conditions: readonly Condition[];
    /** Scale of the noise on tokens of strength 1, multiplied by the squared level. Default 0.15. */
    readonly imageNoiseScale?: number | undefined;
    /** Start from these latents, noised to the level at which the share `strength` of the steps remains. */
    readonly start?: { readonly latents_BCFHW: Tensor; readonly strength: number } | undefined;
    readonly onStep?: ((progress: SampleProgress) => void) | undefined;
  };

/**
 * Samples normalised float32 latents `[B,C,F,H,W]` under the conditions. Positions follow the causal time rule.
 *
 * @throws RangeError when a condition does not fit the video
 */
export function sampleConditioned(options: ConditionedSampleOptions): Tensor {
  return noGrad(() =>
    scope(() => {
      const { grid, frameRate } = options;
      const schedule = makeSchedule(options.schedule, { steps: options.steps, tokens: grid.tokens });
      const first = firstStep(schedule, options.start?.strength ?? 1);
      const sequence = prepareSequence(options, schedule.sigmas[first]!);
      const { config, device } = options.transformer;
      const width = config.numAttentionHeads * config.attentionHeadDim;
      const rope = ropeFromCoords({ width, coords_B3T: secondsOf(sequence.coords_13T, frameRate), device });
      const model = new GuidedModel<TransformerInputs>(options, { grid, frameRate, rope });
      let tokens_BTC = sequence.tokens_BTC;
      for (let i = first; i < schedule.timesteps.length; i++) {
        const timestep = schedule.timesteps[i]!;
        const stepped_BTC = scope(() => step(options, { model, sequence, schedule, timestep }, tokens_BTC));
        if (tokens_BTC !== sequence.tokens_BTC) tokens_BTC.free();
        tokens_BTC = stepped_BTC;
        const sigma = schedule.sigmas[i]!;
        options.onStep?.({
          step: i + 1 - first,
          steps: schedule.timesteps.length - first,
          sigma,
          tokens_BTC,
        });
      }
      return unpackLatents(tokens_BTC.narrow(1, sequence.extraTokens, grid.tokens), grid);
    }),
  );
}

type Sequence = {
  /** Start tokens: those of later conditions, then the video's. */
  readonly tokens_BTC: Tensor;
  readonly coords_13T: Tensor;
  /** Strength of each group, as float32. */
  readonly held_G: readonly number[];
  readonly extraTokens: number;
};

type Loop = {
  readonly model: GuidedModel<TransformerInputs>;
  readonly sequence: Sequence;
  readonly schedule: SigmaSchedule;
  readonly timestep: number;
};

/** One step of every group at its own level. */
function step(options: ConditionedSampleOptions, loop: Loop, tokens_BTC: Tensor): Tensor {
  const { held_G } = loop.sequence;
  const { timestep, schedule } = loop;
  const noised_BTC = noiseHeldTokens(options, loop, tokens_BTC);
  const limits_G = held_G.map((held) => Math.fround(1 - held));
  const timesteps_G = limits_G.map((limit) => Math.min(timestep, Math.fround(limit * 1000)));
  const moves_G = timesteps_G.map((own, g) => {
    if (!(Math.fround(Math.fround(timestep / 1000) - epsilon) < limits_G[g]!)) return 0;
    const { sigma, next } = tokenLevels(own, schedule);
    return Math.fround(next - sigma);
  });
  const format = { dtype: "float32", device: noised_BTC.device } as const;
  const timestep_BG = tensor([timesteps_G], format).expand([noised_BTC.size(0), timesteps_G.length]);
  const velocity_BTC = loop.model.velocity(noised_BTC, timestep_BG);
  const move_1G11 = tensor(moves_G, format).reshape([1, -1, 1, 1]);
  const moved = velocity_BTC.unflatten(1, [held_G.length, -1]).mul(move_1G11).flatten(1, 2);
  return noised_BTC.add(moved);
}

/** Sets tokens of strength 1 to their start value plus noise. Like the reference, draws noise for every token. */
function noiseHeldTokens(options: ConditionedSampleOptions, loop: Loop, tokens_BTC: Tensor): Tensor {
  const scale = options.imageNoiseScale ?? 0.15;
  if (!(scale > 0) || options.conditions.length === 0) return tokens_BTC;
  const { held_G, tokens_BTC: start_BTC } = loop.sequence;
  const level = Math.fround(loop.timestep / 1000);
  const noise_BTC = drawOn(options, tokens_BTC.shape)
    .mul(scale)
    .mul(Math.fround(level * level));
  const isHeld_G = held_G.map((held) => held > 1 - epsilon);
  const groups = start_BTC.add(noise_BTC).unflatten(1, [held_G.length, -1]).unbind(1);
  const kept = tokens_BTC.unflatten(1, [held_G.length, -1]).unbind(1);
  return cat(
    groups.map((group, g) => (isHeld_G[g] ? group : kept[g]!)),
    1,
  );
}

/** Makes the start latents with all conditions. Draws in the order of the reference. */
function prepareSequence(options: ConditionedSampleOptions, startSigma: number): Sequence {
  const { grid, transformer } = options;
  const { device } = transformer;
  const shape = [options.positive.text_1LD.size(0), transformer.config.inChannels, grid.F, grid.H, grid.W];
  const noise_BCFHW = drawOn(options, shape);
  const given_BCFHW = options.start?.latents_BCFHW.to({ dtype: "float32", device });
  const mixed = given_BCFHW && noise_BCFHW.mul(startSigma).add(given_BCFHW.mul(Math.fround(1 - startSigma)));
  const frames = (mixed ?? noise_BCFHW).unbind(2);
  const held: number[] = frames.map(() => 0);
  const extra: { tokens_BTC: Tensor; coords_13T: Tensor; held_G: number[] }[] = [];
  for (const condition of options.conditions) {
    const latents_BCFHW = condition.latents_BCFHW.to({ dtype: "float32", device });
    const strength = condition.strength;
    const place = placeCondition(condition, grid);
    for (let f = 0; f < place.inPlace; f++) {
      const at = place.startFrame + f;
      frames[at] = frames[at]!.lerp(latents_BCFHW.select(2, place.extra + f), strength);
      held[at] = Math.fround(strength);
    }
    if (place.extra === 0) continue;
    const lead_BCFHW = latents_BCFHW.narrow(2, 0, place.extra);
    const leadGrid = gridOf({ F: place.extra, H: grid.H, W: grid.W }, grid.compression);
    extra.push({
      tokens_BTC: packLatents(drawOn(options, lead_BCFHW.shape).lerp(lead_BCFHW, strength)),
      coords_13T: causalCoords(leadGrid, condition.frameIndex),
      held_G: Array.from({ length: place.extra }, () => Math.fround(strength)),
    });
  }
  const tokens_BTC = packLatents(stack(frames, 2));
  return {
    tokens_BTC: cat([...extra.map((e) => e.tokens_BTC), tokens_BTC], 1),
    coords_13T: cat([...extra.map((e) => e.coords_13T), causalCoords(grid)], 2),
    held_G: [...extra.flatMap((e) => e.held_G), ...held],
    extraTokens: extra.reduce((sum, e) => sum + e.tokens_BTC.size(1), 0),
  };
}

/** The number of a condition's latent frames that become extra tokens, and the place of the others. */
function placeCondition(
  condition: Condition,
  grid: LatentGrid,
): { extra: number; inPlace: number; startFrame: number } {
  const { frameIndex } = condition;
  const [, , F, H, W] = condition.latents_BCFHW.shape as readonly [number, number, number, number, number];
  if (H !== grid.H || W !== grid.W) {
    throw new RangeError(`condition: got ${H}x${W} cells, expected the video's ${grid.H}x${grid.W}`);
  }
  const extra = frameIndex === 0 ? 0 : Math.min(F, prefixFrames);
  const startFrame = frameIndex === 0 ? 0 : Math.floor(frameIndex / grid.compression.temporal) + prefixFrames;
  if (startFrame + F - extra > grid.F && F > extra) {
    throw new RangeError(
      `condition at frame ${frameIndex}: got ${F} latent frames, more than fit in ${grid.F}`,
    );
  }
  return { extra, inPlace: F - extra, startFrame };
}

function firstStep(schedule: SigmaSchedule, strength: number): number {
  const steps = schedule.timesteps.length;
  return Math.max(steps - Math.min(Math.floor(steps * strength), steps), 0);
}

function drawOn(options: ConditionedSampleOptions, shape: readonly number[]): Tensor {
  return drawNoise(options, shape, { dtype: "float32", device: options.transformer.device });
}
