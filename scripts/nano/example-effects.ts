/**
 * The effects that example datasets teach: what calls them up, how they are drawn, and how they are found in pixels.
 *
 * `glowpulse` is the bundled one; the others show that a concept of one's own is learnt the same way. To try one more, add it
 * here and draw its dataset with `make-example.ts --effect`.
 */
import type { ObjectColour } from "./colours.ts";
import type { Clip, Effect } from "./draw.ts";
import { floorShare, frameShare, glowPulse, gold, goldFrame, lava, lavaFloor } from "./effects.ts";
import { hasRegion, readEffect } from "./judge/effect.ts";

export type ExampleEffect = {
  /** The trigger phrase. */
  readonly phrase: string;
  readonly draw: Effect;
  /** Read from the pixels; the object's colour is known from the prompt. */
  readonly isPresent: (clip: Clip, colour: ObjectColour) => boolean;
};

export const exampleEffects = {
  glowpulse: {
    phrase: "glowpulse style",
    draw: glowPulse,
    isPresent: (clip, colour) => readEffect(clip, colour).present,
  },
  goldframe: {
    phrase: "goldframe style",
    draw: goldFrame,
    isPresent: (clip) => {
      const { width, height } = clip.format;
      const thickness = Math.max(1, Math.round(frameShare * Math.min(width, height)));
      return hasRegion(clip, gold, (x, y) => Math.min(x, y, width - 1 - x, height - 1 - y) < thickness);
    },
  },
  lavafloor: {
    phrase: "lavafloor style",
    draw: lavaFloor,
    isPresent: (clip) => {
      const { height } = clip.format;
      return hasRegion(clip, lava, (_, y) => y >= (1 - floorShare) * height + 1);
    },
  },
} as const satisfies Record<string, ExampleEffect>;

export type ExampleName = keyof typeof exampleEffects;

/** @throws Error naming the known ones */
export function exampleNamed(name: string): ExampleEffect {
  const known: Readonly<Record<string, ExampleEffect>> = exampleEffects;
  const found = known[name];
  if (found === undefined)
    throw new Error(`effect: got "${name}", expected one of ${Object.keys(exampleEffects).join(", ")}`);
  return found;
}
