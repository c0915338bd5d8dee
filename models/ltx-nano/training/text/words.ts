/**
 * The vocabulary of captions: every way to name a shape, a colour, a size, a motion or a place.
 *
 * The first phrase of each list is the plain one. No phrase is in two entries of one table, so captions are
 * unambiguous.
 */
import type { BackgroundColour, ObjectColour } from "../clips/colours.ts";
import type { MotionName, SizeName } from "../clips/scene.ts";
import type { ShapeName } from "../clips/shapes.ts";

export const shapeWords: Readonly<Record<ShapeName, readonly string[]>> = {
  circle: ["circle", "circle", "disc", "dot", "ball"],
  square: ["square", "square", "box"],
  triangle: ["triangle"],
  star: ["star"],
  ring: ["ring", "ring", "hoop", "donut"],
  cross: ["cross", "cross", "plus sign", "plus"],
  hexagon: ["hexagon"],
  heart: ["heart"],
};

export const objectColourWords: Readonly<Record<ObjectColour, readonly string[]>> = {
  red: ["red"],
  orange: ["orange"],
  yellow: ["yellow"],
  green: ["green"],
  cyan: ["cyan", "cyan", "turquoise"],
  blue: ["blue"],
  purple: ["purple", "purple", "violet"],
  pink: ["pink"],
  white: ["white"],
  black: ["black"],
};

export const backgroundColourWords: Readonly<Record<BackgroundColour, readonly string[]>> = {
  black: ["black"],
  white: ["white"],
  grey: ["grey", "gray"],
  navy: ["navy", "navy", "dark blue"],
  teal: ["teal", "teal", "dark teal"],
  maroon: ["maroon", "maroon", "dark red"],
  brown: ["brown"],
  beige: ["beige", "beige", "sand"],
  lavender: ["lavender", "lavender", "lilac"],
  mint: ["mint", "mint", "pale green"],
};

export const sizeWords: Readonly<Record<SizeName, readonly string[]>> = {
  small: ["small", "small", "little", "tiny"],
  medium: [],
  large: ["large", "big", "big", "huge"],
};

/** A motion as "-ing" form and as third person: "a star moving left", "a star moves left". */
export type MotionWords = { readonly doing: string; readonly does: string };

const travelVerbs: readonly MotionWords[] = [
  { doing: "moving", does: "moves" },
  { doing: "moving", does: "moves" },
  { doing: "sliding", does: "slides" },
  { doing: "drifting", does: "drifts" },
  { doing: "gliding", does: "glides" },
  { doing: "going", does: "goes" },
  { doing: "floating", does: "floats" },
  { doing: "flying", does: "flies" },
  { doing: "travelling", does: "travels" },
];

function travel(directions: readonly string[]): readonly MotionWords[] {
  return directions.flatMap((direction) =>
    travelVerbs.map(({ doing, does }) => ({ doing: `${doing} ${direction}`, does: `${does} ${direction}` })),
  );
}

function pairs(...words: readonly (readonly [doing: string, does: string])[]): readonly MotionWords[] {
  return words.map(([doing, does]) => ({ doing, does }));
}

export const motionWords: Readonly<Record<MotionName, readonly MotionWords[]>> = {
  left: travel(["left", "to the left", "leftwards", "from right to left"]),
  right: travel(["right", "to the right", "rightwards", "from left to right"]),
  up: [
    ...travel(["up", "upwards", "to the top"]),
    ...pairs(
      ["rising", "rises"],
      ["rising up", "rises up"],
      ["climbing", "climbs"],
      ["ascending", "ascends"],
    ),
  ],
  down: [
    ...travel(["down", "downwards", "to the bottom"]),
    ...pairs(
      ["falling", "falls"],
      ["falling down", "falls down"],
      ["sinking", "sinks"],
      ["dropping", "drops"],
    ),
  ],
  grow: pairs(
    ["growing", "grows"],
    ["getting bigger", "gets bigger"],
    ["growing larger", "grows larger"],
    ["expanding", "expands"],
    ["becoming bigger", "becomes bigger"],
  ),
  shrink: pairs(
    ["shrinking", "shrinks"],
    ["getting smaller", "gets smaller"],
    ["growing smaller", "grows smaller"],
    ["contracting", "contracts"],
    ["becoming smaller", "becomes smaller"],
  ),
  spin: pairs(
    ["spinning", "spins"],
    ["rotating", "rotates"],
    ["turning around", "turns around"],
    ["turning", "turns"],
    ["spinning around", "spins around"],
    ["whirling", "whirls"],
  ),
  bounce: pairs(
    ["bouncing", "bounces"],
    ["bouncing up and down", "bounces up and down"],
    ["hopping", "hops"],
    ["jumping up and down", "jumps up and down"],
    ["jumping", "jumps"],
  ),
  blink: pairs(
    ["blinking", "blinks"],
    ["flashing", "flashes"],
    ["blinking on and off", "blinks on and off"],
    ["flashing on and off", "flashes on and off"],
    ["appearing and disappearing", "appears and disappears"],
  ),
  still: pairs(
    ["standing still", "stands still"],
    ["staying still", "stays still"],
    ["not moving", "does not move"],
    ["staying in place", "stays in place"],
    ["resting", "rests"],
  ),
};

export const openings: readonly string[] = [
  "a video of",
  "a clip of",
  "an animation of",
  "video of",
  "animation of",
  "we see",
  "there is",
];
export const stillOpenings: readonly string[] = ["an image of", "a picture of", "we see", "there is"];

/** Background phrases; `{}` stands for the colour words. */
export const plainPlaces: readonly string[] = [
  "on a {} background",
  "on a {} background",
  "on {}",
  "over a {} background",
  "against a {} background",
  "in front of a {} backdrop",
  "with a {} background",
];

/** Gradient phrases; the first `{}` is the left or upper colour. */
export const gradientPlaces: readonly string[] = [
  "on a gradient from {} to {}",
  "on a {} to {} gradient",
  "over a {} to {} gradient background",
  "on a gradient background from {} to {}",
  "against a gradient from {} to {}",
];
