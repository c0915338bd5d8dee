/**
 * Which frames of a clip become which training samples. Pure arithmetic on frame counts.
 *
 * The video codec packs 8 frames into one latent frame after the first, so a sample has 8k + 1 frames.
 */

/** The shortest sample cut from a video: two latent frames. */
const shortestVideo = 9;

/** A stretch of a clip, in frames of the (resampled) clip. */
export type Window = { readonly start: number; readonly frames: number };

export type ClipPlan =
  | { readonly windows: readonly Window[]; readonly unused: number }
  | { readonly windows: readonly []; readonly unused: number; readonly reason: string };

/** The largest 8k + 1 that is not above `frames`; 0 below 1. */
export function snapDown(frames: number): number {
  return frames < 1 ? 0 : Math.floor((frames - 1) / 8) * 8 + 1;
}

/**
 * Consecutive windows of `wanted` frames, then what is left as one shorter window of 8k + 1 frames if it is long enough.
 *
 * @param total frames the clip has
 * @param wanted frames of a full sample, 8k + 1
 */
export function planWindows(
  total: number,
  wanted: number,
  rules: { readonly useAllFootage: boolean; readonly mixedShapes: boolean },
): ClipPlan {
  const shortest = Math.min(wanted, rules.mixedShapes ? shortestVideo : wanted);
  if (total < shortest) {
    const rule = shortest === wanted ? `${wanted}` : `at least ${shortest}`;
    return { windows: [], unused: total, reason: `too short: ${countOf(total)}, expected ${rule}` };
  }
  const windows: Window[] = [];
  let start = 0;
  while (total - start >= shortest) {
    const frames = Math.min(wanted, snapDown(total - start));
    windows.push({ start, frames });
    start += frames;
    if (!rules.useAllFootage) break;
  }
  return { windows, unused: total - start };
}

function countOf(frames: number): string {
  return frames === 1 ? "1 frame" : `${frames} frames`;
}
