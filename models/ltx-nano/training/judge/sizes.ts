/**
 * The sizes that ltx-nano supports, as clip formats.
 */
import type { BaseProfile } from "@ltx-trainer/trainer";
import type { ClipFormat } from "../clips/scene.ts";

export type SizeLevel = keyof BaseProfile["sizes"];

/** Every aspect ratio of the given levels, the aspect changing fastest. */
export function formatsOf(
  profile: BaseProfile,
  levels: readonly SizeLevel[],
  frames: number,
  fps = 25,
): ClipFormat[] {
  return levels.flatMap((level) =>
    Object.values(profile.sizes[level]).map(({ width, height }) => ({ width, height, frames, fps })),
  );
}
