/**
 * The effects that example datasets teach: trigger phrase, drawing, and how the judge finds them in pixels.
 *
 * `glowpulse` is in the bundled example. The others show that other concepts are learned the same way. To try another one,
 * add it here and make its dataset with `make-example.ts --effect`.
 */
import type { Clip, Effect } from "../clips/draw.ts";
import {
  floorShare,
  frameShare,
  fromEdge,
  glowPulse,
  glowShare,
  gold,
  goldFrame,
  lava,
  lavaFloor,
} from "../clips/effects.ts";
import { type Region, readGlow, shareOf } from "../judge/effect.ts";

export type ExampleEffect = {
  /** The trigger phrase. */
  readonly phrase: string;
  readonly draw: Effect;
  /** Read from the pixels. */
  readonly isPresent: (clip: Clip) => boolean;
};

/** Of the pixels that an effect should have painted, over all frames; the object may cover some. */
const enough = 0.6;
/** Of the middle of the picture: more than the object alone can cover. */
const allOver = 0.8;
/** Of six. The drawn glow takes all of them; which one when is not asked. */
const enoughHues = 3;

export const exampleEffects = {
  glowpulse: {
    phrase: "glowpulse style",
    draw: glowPulse,
    isPresent: (clip) => {
      const glow = readGlow(clip, edgeOf(clip, glowShare), middleOf(clip));
      return glow.share > enough && glow.hues >= enoughHues;
    },
  },
  goldframe: {
    phrase: "goldframe style",
    draw: goldFrame,
    isPresent: (clip) =>
      shareOf(clip, gold, edgeOf(clip, frameShare)) > enough && shareOf(clip, gold, middleOf(clip)) < allOver,
  },
  lavafloor: {
    phrase: "lavafloor style",
    draw: lavaFloor,
    isPresent: (clip) => {
      const { height } = clip.format;
      return shareOf(clip, lava, (_, y) => y >= (1 - floorShare) * height + 1) > enough;
    },
  },
} as const satisfies Record<string, ExampleEffect>;

/** @param share of the shorter side */
function edgeOf({ format }: Clip, share: number): Region {
  const width = Math.round(share * Math.min(format.width, format.height));
  return (x, y) => fromEdge(format, x, y) < width;
}

function middleOf({ format }: Clip): Region {
  return (x, y) => fromEdge(format, x, y) > 0.25 * Math.min(format.width, format.height);
}

/** @throws Error naming the known ones */
export function exampleNamed(name: string): ExampleEffect {
  const known: Readonly<Record<string, ExampleEffect>> = exampleEffects;
  const found = known[name];
  if (found === undefined)
    throw new Error(`effect: got "${name}", expected one of ${Object.keys(exampleEffects).join(", ")}`);
  return found;
}
