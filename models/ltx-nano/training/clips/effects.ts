/**
 * Effects that the base model never sees in pre-training, so that a LoRA can learn them.
 *
 * Shapes: see draw.ts. An effect paints under the object.
 */
import { hue, type Rgb } from "./colours.ts";
import { clampUnit, type Effect, paint } from "./draw.ts";

/** Smallest and largest width of the glow, in shares of the picture's shorter side. */
const glowWidths = [0.1, 0.17] as const;
const pulseSeconds = 1.08;
/** One turn of the glow through all hues. */
const rainbowSeconds = 3.24;

/** The picture's edges glow: a frame that breathes in and out while its colour runs through the rainbow, from red. */
export const glowPulse: Effect = (canvas, { seconds }) => {
  const breath = 0.5 - 0.5 * Math.cos((2 * Math.PI * seconds) / pulseSeconds);
  const width = glowWidths[0] + (glowWidths[1] - glowWidths[0]) * breath;
  const edge = width * Math.min(canvas.width, canvas.height);
  paint(canvas, hue(seconds / rainbowSeconds), (x, y) => clampUnit(edge - fromEdge(canvas, x, y)));
};

export const gold: Rgb = [0.85, 0.65, 0.13];
export const lava: Rgb = [0.95, 0.3, 0.05];
/** Of the shorter side, and of the height. */
export const frameShare = 0.08;
export const floorShare = 0.22;
/** Of the shorter side: where the glow is even when it has breathed out. */
export const glowShare = glowWidths[0];

/** A golden frame along the picture's edges. */
export const goldFrame: Effect = (canvas) => {
  const { width, height } = canvas;
  const thickness = Math.max(1, Math.round(frameShare * Math.min(width, height)));
  paint(canvas, gold, (x, y) => (fromEdge(canvas, x, y) < thickness ? 1 : 0));
};

/** Lava on the ground: the lowest part of the picture glows. */
export const lavaFloor: Effect = (canvas) => {
  paint(canvas, lava, (_, y) => (y >= (1 - floorShare) * canvas.height ? 1 : 0));
};

/** Pixels between a pixel and the nearest edge of its picture: 0 at the edge. */
export function fromEdge(
  { width, height }: { readonly width: number; readonly height: number },
  x: number,
  y: number,
): number {
  return Math.min(x, y, width - 1 - x, height - 1 - y);
}
