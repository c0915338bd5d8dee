/**
 * Effects that the base model never sees in pre-training: what a LoRA is to learn.
 *
 * Shapes: see draw.ts. An effect paints under the object; distances are in pixels, negative inside the shape.
 */
import { hue, type Rgb } from "./colours.ts";
import { type Canvas, type Effect, insideOf, paintDistance } from "./draw.ts";
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

export const gold: Rgb = [0.85, 0.65, 0.13];
export const lava: Rgb = [0.95, 0.3, 0.05];
/** Of the shorter side, and of the height. */
export const frameShare = 0.08;
export const floorShare = 0.22;

/** A golden frame along the picture's edges. */
export const goldFrame: Effect = (canvas) => {
  const { width, height } = canvas;
  const thickness = Math.max(1, Math.round(frameShare * Math.min(width, height)));
  const isFrame = (x: number, y: number): boolean =>
    Math.min(x, y, width - 1 - x, height - 1 - y) < thickness;
  paintWhere(canvas, gold, isFrame);
};

/** Lava on the ground: the lowest part of the picture glows. */
export const lavaFloor: Effect = (canvas) => {
  paintWhere(canvas, lava, (_, y) => y >= (1 - floorShare) * canvas.height);
};

function paintWhere(canvas: Canvas, colour: Rgb, isPainted: (x: number, y: number) => boolean): void {
  const { pixels, width, height, offset, stride } = canvas;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!isPainted(x, y)) continue;
      for (let channel = 0; channel < 3; channel++)
        pixels[offset + y * width + x + channel * stride] = colour[channel]!;
    }
  }
}
