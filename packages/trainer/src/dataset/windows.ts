/**
 * Which frames of a clip become which training samples. Pure arithmetic on frame counts.
 *
 * A VAE packs `temporal` frames into one latent frame after the first, so a sample has `temporal * k + 1` frames: 8k + 1 for
 * LTX-Video.
 */
import { snapFrames } from "@ltx-trainer/ltx";

/** A stretch of a clip, in frames of the (resampled) clip. */
export type Window = { readonly start: number; readonly frames: number };

export type ClipPlan =
  | { readonly windows: readonly Window[]; readonly unused: number }
  | { readonly windows: readonly []; readonly unused: number; readonly reason: string };

type WindowRules = {
  readonly useAllFootage: boolean;
  readonly mixedShapes: boolean;
  /** Frames per latent frame after the first. */
  readonly temporalCompression: number;
};

/**
 * Consecutive windows of `wanted` frames, then what is left as one shorter window if it is long enough.
 *
 * @param total frames the clip has
 * @param wanted frames of a full sample, temporal * k + 1
 */
export function planWindows(total: number, wanted: number, rules: WindowRules): ClipPlan {
  // Of a video: two latent frames.
  const shortest = Math.min(wanted, rules.mixedShapes ? rules.temporalCompression + 1 : wanted);
  if (total < shortest) {
    const rule = shortest === wanted ? `${wanted}` : `at least ${shortest}`;
    return { windows: [], unused: total, reason: `too short: ${countOf(total)}, expected ${rule}` };
  }
  const windows: Window[] = [];
  let start = 0;
  while (total - start >= shortest) {
    const frames = Math.min(wanted, snapFrames(total - start, rules.temporalCompression));
    windows.push({ start, frames });
    start += frames;
    if (!rules.useAllFootage) break;
  }
  return { windows, unused: total - start };
}

function countOf(frames: number): string {
  return frames === 1 ? "1 frame" : `${frames} frames`;
}
