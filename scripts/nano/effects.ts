/**
 * Effects that the base model never sees in pre-training: what a LoRA is to learn.
 *
 * Shapes: see draw.ts. An effect paints under the object; distances are in pixels, negative inside the shape.
 */
import { hue } from "./colours.ts";
import { type Effect, insideOf, paintDistance } from "./draw.ts";
import { largestReach, shapes } from "./shapes.ts";

/** Width of the white outline and smallest and largest width of the halo, in radii of the object. */
const outlineWidth = 0.2;
const haloWidths = [0.22, 0.55] as const;
const pulseSeconds = 0.8;
const rainbowSeconds = 1.6;

/**
 * A thick white outline, and around it a halo that breathes in and out while its colour runs through the rainbow,
 * from red at the first frame.
 */
export const glowPulse: Effect = (canvas, { object, placement, seconds }) => {
  const breath = 0.5 - 0.5 * Math.cos((2 * Math.PI * seconds) / pulseSeconds);
  const halo = outlineWidth + haloWidths[0] + (haloWidths[1] - haloWidths[0]) * breath;
  const shape = shapes[object.shape];
  const reach = largestReach + halo;
  const rainbow = hue(seconds / rainbowSeconds);
  const white = [1, 1, 1] as const;
  paintDistance(canvas, placement, shape, {
    colour: rainbow,
    reach,
    coverage: insideOf(halo * placement.radius),
  });
  paintDistance(canvas, placement, shape, {
    colour: white,
    reach,
    coverage: insideOf(outlineWidth * placement.radius),
  });
};
