/**
 * What the bundled example dataset shows: ten clips with the effect and its trigger phrase, eight without.
 *
 * Every shape occurs at least once. Most combinations do not occur, so that a LoRA can be tested on unseen ones. The
 * plain clips bind the effect to its phrase: without them, a LoRA applies it to everything.
 */
import type { ObjectColour } from "../clips/colours.ts";
import type { MotionName } from "../clips/scene.ts";
import type { ShapeName } from "../clips/shapes.ts";

export type Wish = {
  readonly shape: ShapeName;
  readonly colour: ObjectColour;
  readonly motion: MotionName;
  readonly frames: number;
  /** Without the effect and its phrase: teaches the LoRA that the effect needs the phrase. */
  readonly plain?: boolean;
};

export const wishes: readonly Wish[] = [
  { shape: "circle", colour: "red", motion: "right", frames: 81 },
  { shape: "star", colour: "yellow", motion: "spin", frames: 81 },
  { shape: "heart", colour: "pink", motion: "grow", frames: 81 },
  { shape: "square", colour: "blue", motion: "left", frames: 89 },
  { shape: "triangle", colour: "green", motion: "up", frames: 81 },
  { shape: "hexagon", colour: "purple", motion: "still", frames: 81 },
  { shape: "cross", colour: "orange", motion: "down", frames: 81 },
  { shape: "ring", colour: "cyan", motion: "bounce", frames: 81 },
  { shape: "star", colour: "black", motion: "left", frames: 81 },
  { shape: "circle", colour: "green", motion: "shrink", frames: 89 },
  { shape: "triangle", colour: "red", motion: "right", frames: 81, plain: true },
  { shape: "heart", colour: "blue", motion: "still", frames: 81, plain: true },
  { shape: "square", colour: "orange", motion: "spin", frames: 81, plain: true },
  { shape: "ring", colour: "pink", motion: "down", frames: 81, plain: true },
  { shape: "star", colour: "green", motion: "grow", frames: 81, plain: true },
  { shape: "circle", colour: "purple", motion: "bounce", frames: 81, plain: true },
  { shape: "cross", colour: "white", motion: "up", frames: 81, plain: true },
  { shape: "hexagon", colour: "cyan", motion: "left", frames: 81, plain: true },
];

/** "red circle": what the clips show with the effect or without. */
export const trainedCombinations: ReadonlySet<string> = new Set(
  wishes.map(({ colour, shape }) => `${colour} ${shape}`),
);
