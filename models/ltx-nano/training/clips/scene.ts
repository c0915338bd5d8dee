/**
 * What one clip shows: objects, their motions and a background, sampled from a seed.
 *
 * Lengths are fractions (of the shorter side for radii, of width or height for positions), and motions run over the
 * whole clip, so one scene can be drawn at any size and length. Repeating motions have a period in frames that follows
 * the frame rate, but is never shorter than the VAE's time compression can represent.
 */
import {
  type BackgroundColour,
  backgroundColourNames,
  contrasts,
  type ObjectColour,
  objectColourNames,
} from "./colours.ts";
import type { Random } from "./random.ts";
import { largestReach, roundShapes, type ShapeName, shapeNames } from "./shapes.ts";

export const motionNames = [
  "left",
  "right",
  "up",
  "down",
  "grow",
  "shrink",
  "spin",
  "bounce",
  "blink",
  "still",
] as const;
export type MotionName = (typeof motionNames)[number];

export type ClipFormat = {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  /** Frames per second. */
  readonly fps: number;
};

export type SizeName = "small" | "medium" | "large";

export type Point = { readonly x: number; readonly y: number };

export type SceneObject = {
  readonly shape: ShapeName;
  readonly colour: ObjectColour;
  readonly size: SizeName;
  /** Fraction of the frame's shorter side. */
  readonly radius: number;
  readonly motion: MotionName;
  /** Centre at the first and last frame, fractions of width and height. Equal for motions that stay in place. */
  readonly from: Point;
  readonly to: Point;
  /** Frames of one turn, bounce or blink. */
  readonly periodFrames: number;
};

export type Background =
  | { readonly kind: "plain"; readonly colour: BackgroundColour }
  | {
      readonly kind: "gradient";
      readonly from: BackgroundColour;
      readonly to: BackgroundColour;
      readonly direction: "vertical" | "horizontal" | "diagonal";
    };

/** How two objects stand to each other; the first is on the left or above. */
export type Arrangement = "alone" | "side by side" | "one above the other";

export type Scene = {
  readonly objects: readonly SceneObject[];
  readonly arrangement: Arrangement;
  readonly background: Background;
};

/** The part of the frame one object moves in, fractions of width and height. */
type Region = { readonly x0: number; readonly y0: number; readonly x1: number; readonly y1: number };

export type SceneOptions = {
  /** Share of scenes with two objects. */
  readonly twoObjects?: number;
  /** Share of gradient backgrounds. */
  readonly gradients?: number;
  readonly motions?: readonly MotionName[];
};

const wholeFrame: Region = { x0: 0, y0: 0, x1: 1, y1: 1 };
const sizeWeights = { small: 1, medium: 2, large: 1 } as const;
/** Radii as fractions of the shorter side (of the object's own region). */
const radii: Readonly<Record<SizeName, readonly [low: number, high: number]>> = {
  small: [0.19, 0.21],
  medium: [0.24, 0.28],
  large: [0.32, 0.36],
};

const motionPeriods = {
  spin: { seconds: 4, least: 72, most: 120 },
  bounce: { seconds: 1.6, least: 28, most: 56 },
  blink: { seconds: 0.9, least: 14, most: 28 },
} as const;

/** Draws one scene by lot; the same random stream and format always give the same scene. */
export function sampleScene(random: Random, format: ClipFormat, options: SceneOptions = {}): Scene {
  const background = sampleBackground(random, options.gradients ?? 0.4);
  const motions = format.frames === 1 ? (["still"] as const) : (options.motions ?? motionNames);
  if (!random.chance(options.twoObjects ?? 0.1)) {
    const object = sampleObject(random, format, wholeFrame, background, random.pick(motions));
    return { objects: [object], arrangement: "alone", background };
  }
  const [first, second] = sampleMotionPair(random, motions);
  const arrangement = arrangementFor(random, first, second);
  const [one, two] = halves(arrangement);
  const firstObject = sampleObject(random, format, one, background, first);
  const secondObject = sampleObject(random, format, two, background, second, firstObject);
  return { objects: [firstObject, secondObject], arrangement, background };
}

function sampleBackground(random: Random, gradients: number): Background {
  const from = random.pick(backgroundColourNames);
  if (!random.chance(gradients)) return { kind: "plain", colour: from };
  const direction = random.pick(["vertical", "horizontal", "diagonal"] as const);
  for (;;) {
    const to = random.pick(backgroundColourNames);
    if (to !== from && coloursOn([from, to]).length >= 3) return { kind: "gradient", from, to, direction };
  }
}

/** The object colours that stand out from all the given background colours. */
function coloursOn(backgrounds: readonly BackgroundColour[]): readonly ObjectColour[] {
  return objectColourNames.filter((colour) =>
    backgrounds.every((background) => contrasts(colour, background)),
  );
}

export function backgroundNames(background: Background): readonly BackgroundColour[] {
  return background.kind === "plain" ? [background.colour] : [background.from, background.to];
}

const travelling: readonly MotionName[] = ["left", "right", "up", "down", "bounce"];

/** Two motions for one scene: the same for both, or one object travels while the other stays in its place. */
function sampleMotionPair(random: Random, motions: readonly MotionName[]): [MotionName, MotionName] {
  const first = random.pick(motions);
  const inPlace = motions.filter((motion) => !travelling.includes(motion));
  if (random.chance(0.4) || inPlace.length === 0) return [first, first];
  const second = random.pick(inPlace);
  return random.chance(0.5) ? [first, second] : [second, first];
}

/** Travel gets the long way: who moves sideways shares the frame one above the other, and the other way round. */
function arrangementFor(random: Random, first: MotionName, second: MotionName): Arrangement {
  const either = (motion: MotionName): boolean => first === motion || second === motion;
  if (either("left") || either("right")) return "one above the other";
  if (either("up") || either("down") || either("bounce")) return "side by side";
  return random.chance(0.5) ? "side by side" : "one above the other";
}

function halves(arrangement: Arrangement): [Region, Region] {
  if (arrangement === "side by side")
    return [
      { ...wholeFrame, x1: 0.5 },
      { ...wholeFrame, x0: 0.5 },
    ];
  return [
    { ...wholeFrame, y1: 0.5 },
    { ...wholeFrame, y0: 0.5 },
  ];
}

function sampleObject(
  random: Random,
  format: ClipFormat,
  region: Region,
  background: Background,
  motion: MotionName,
  beside?: SceneObject,
): SceneObject {
  const shape = random.pick(
    motion === "spin" ? shapeNames.filter((name) => !roundShapes.includes(name)) : shapeNames,
  );
  const colours = coloursOn(backgroundNames(background)).filter((colour) => colour !== beside?.colour);
  const colour = random.pick(colours);
  const size = random.weighted(sizeWeights);
  const shorter = Math.min(format.width, format.height);
  const regionShorter = Math.min(
    (region.x1 - region.x0) * format.width,
    (region.y1 - region.y0) * format.height,
  );
  // In half a frame a third of the shorter side would leave no room to move: objects shrink with their region.
  const radius = (random.range(...radii[size]) * Math.min(shorter, 1.35 * regionShorter)) / shorter;
  const path = samplePath(random, format, region, radius, motion);
  return { shape, colour, size, radius, motion, ...path, periodFrames: periodFrames(motion, format) };
}

/**
 * Frames of one repetition: at 25 frames a second two to five latent frames (of 8 pixel frames) for whatever looks the same
 * again, which is a sixth of a turn when a hexagon spins. The video model blurs faster repetitions.
 */
function periodFrames(motion: MotionName, format: ClipFormat): number {
  const { seconds, least, most } = motionPeriods[motion === "spin" || motion === "blink" ? motion : "bounce"];
  const frames = Math.round(Math.min(most, Math.max(least, seconds * format.fps)));
  // A short clip still shows one whole blink or bounce.
  return motion === "spin" ? frames : Math.max(2, Math.min(frames, format.frames - 1));
}

function samplePath(
  random: Random,
  format: ClipFormat,
  region: Region,
  radius: number,
  motion: MotionName,
): { from: Point; to: Point } {
  const reach = radius * Math.min(format.width, format.height) * (motion === "spin" ? largestReach : 1.08);
  const left = Math.min(region.x0 + reach / format.width, (region.x0 + region.x1) / 2);
  const right = Math.max(region.x1 - reach / format.width, (region.x0 + region.x1) / 2);
  const top = Math.min(region.y0 + reach / format.height, (region.y0 + region.y1) / 2);
  const bottom = Math.max(region.y1 - reach / format.height, (region.y0 + region.y1) / 2);
  // Travel begins in the first and ends in the last quarter of the free way.
  const near = random.range(0, 0.25);
  const far = random.range(0.75, 1);
  const x = random.range(left, right);
  const y = random.range(top, bottom);
  const along = (low: number, high: number, share: number): number => low + (high - low) * share;
  switch (motion) {
    case "left":
      return { from: { x: along(left, right, far), y }, to: { x: along(left, right, near), y } };
    case "right":
      return { from: { x: along(left, right, near), y }, to: { x: along(left, right, far), y } };
    case "up":
      return { from: { x, y: along(top, bottom, far) }, to: { x, y: along(top, bottom, near) } };
    case "down":
      return { from: { x, y: along(top, bottom, near) }, to: { x, y: along(top, bottom, far) } };
    case "bounce":
      // From the floor to the height and back, see `placement` in draw.ts.
      return { from: { x, y: bottom }, to: { x, y: along(top, bottom, near) } };
    default:
      return { from: { x, y }, to: { x, y } };
  }
}
