/**
 * Abstract clips for the VAE only: patterns, outlines, halos and arbitrary colours that drift and rotate.
 *
 * Idea: a LoRA can only teach what the VAE can reconstruct. The transformer is pre-trained on plain scenes. The VAE also
 * learns stripes, checks, dots, rings and glows, so that a user's own effect survives encoding.
 *
 * Shapes: see draw.ts.
 */
import type { Rgb } from "./colours.ts";
import {
  type Canvas,
  type Clip,
  clampUnit,
  insideOf,
  type Placement,
  paintDistance,
  type Window,
} from "./draw.ts";
import type { Random } from "./random.ts";
import type { ClipFormat } from "./scene.ts";
import { largestReach, type ShapeName, shapeNames, shapes } from "./shapes.ts";

/** Share of the second colour at a place (in pixels) and a frame. */
export type Pattern = (x: number, y: number, frame: number) => number;

type Layer = {
  readonly shape: ShapeName;
  readonly colours: readonly [inside: Rgb, outline: Rgb, halo: Rgb];
  /** Widths in radii; 0 for none. */
  readonly outline: number;
  readonly halo: number;
  readonly start: Placement;
  /** What is added to the placement in every frame. */
  readonly change: Placement;
};

/** Draws one abstract clip by lot, or a window of it. */
export function drawAbstract(
  random: Random,
  format: ClipFormat,
  window: Window = { start: 0, frames: format.frames },
): Clip {
  const { width, height } = format;
  const { start, frames } = window;
  const plane = width * height;
  const pixels = new Float32Array(3 * frames * plane);
  const pattern = samplePattern(random, format);
  const [first, second] = [sampleRgb(random), sampleRgb(random)];
  const layers = Array.from({ length: random.integer(0, 4) }, () => sampleLayer(random, format));
  for (let frame = start; frame < start + frames; frame++) {
    const offset = (frame - start) * plane;
    const canvas: Canvas = { pixels, width, height, offset, stride: frames * plane };
    fillPattern(canvas, pattern, frame, first, second);
    for (const layer of layers) paintLayer(canvas, layer, frame);
  }
  return { format: { ...format, frames }, pixels };
}

function sampleRgb(random: Random): Rgb {
  return [random.next(), random.next(), random.next()];
}

type PatternKind = "plain" | "gradient" | "stripes" | "checks" | "dots" | "rings";
const patternKinds: readonly PatternKind[] = [
  "plain",
  "gradient",
  "gradient",
  "stripes",
  "checks",
  "dots",
  "rings",
];

/** A pattern by lot for a picture of a size in pixels. */
export function samplePattern(
  random: Random,
  format: { readonly width: number; readonly height: number },
  kinds: readonly PatternKind[] = patternKinds,
): Pattern {
  const kind = random.pick(kinds);
  const angle = random.range(0, 2 * Math.PI);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const period = random.range(10, 32);
  const drift = random.chance(0.5) ? 0 : random.range(-0.8, 0.8);
  const across = (x: number, y: number): number => x * cos + y * sin;
  const along = (x: number, y: number): number => y * cos - x * sin;
  // A sine steep enough to go from one colour to the other within about one pixel.
  const edge = (pixels: number): number =>
    Math.sin((2 * Math.PI * pixels) / period) * (period / (2 * Math.PI));
  const [centreX, centreY] = [random.range(0, format.width), random.range(0, format.height)];
  const diagonal = Math.hypot(format.width, format.height);
  switch (kind) {
    case "plain":
      return () => 0;
    case "gradient":
      return (x, y) => clampUnit(0.5 + across(x - format.width / 2, y - format.height / 2) / diagonal);
    case "stripes":
      return (x, y, frame) => clampUnit(0.5 + edge(across(x, y) + drift * frame));
    case "checks": {
      const sign = (value: number): number => clampUnit(0.5 + value);
      return (x, y, frame) => {
        const [a, b] = [sign(edge(across(x, y) + drift * frame)), sign(edge(along(x, y)))];
        return a + b - 2 * a * b;
      };
    }
    case "dots":
      return (x, y, frame) => {
        const dx = edge(across(x, y) + drift * frame);
        return clampUnit(0.5 + period * 0.13 - Math.hypot(dx, edge(along(x, y))));
      };
    case "rings":
      return (x, y, frame) => clampUnit(0.5 + edge(Math.hypot(x - centreX, y - centreY) + drift * frame));
  }
}

function fillPattern(canvas: Canvas, pattern: Pattern, frame: number, first: Rgb, second: Rgb): void {
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      const share = pattern(x + 0.5, y + 0.5, frame);
      const at = canvas.offset + y * canvas.width + x;
      for (let channel = 0; channel < 3; channel++) {
        canvas.pixels[at + channel * canvas.stride] =
          first[channel]! + (second[channel]! - first[channel]!) * share;
      }
    }
  }
}

function sampleLayer(random: Random, format: ClipFormat): Layer {
  const { width, height, frames } = format;
  const radius = random.range(0.12, 0.36) * Math.max(48, Math.min(width, height));
  const maybe = (probability: number, low: number, high: number): number =>
    random.chance(probability) ? random.range(low, high) : 0;
  // Speeds are bounded per clip, so that a long clip does not empty itself.
  const wander = (extent: number): number => (random.range(-0.6, 0.6) * extent) / Math.max(frames, 17);
  return {
    shape: random.pick(shapeNames),
    colours: [sampleRgb(random), sampleRgb(random), sampleRgb(random)],
    outline: maybe(0.4, 0.1, 0.3),
    halo: maybe(0.35, 0.15, 0.6),
    start: {
      x: random.range(0.1, 0.9) * width,
      y: random.range(0.1, 0.9) * height,
      radius,
      angle: random.range(0, 2 * Math.PI),
      opacity: random.range(0.6, 1),
    },
    change: {
      x: wander(width),
      y: wander(height),
      radius: (maybe(0.4, -0.6, 0.6) * radius) / Math.max(frames, 17),
      angle: maybe(0.4, -0.16, 0.16),
      opacity: 0,
    },
  };
}

function paintLayer(canvas: Canvas, layer: Layer, frame: number): void {
  const { start, change, colours, outline, halo } = layer;
  const placed: Placement = {
    x: start.x + change.x * frame,
    y: start.y + change.y * frame,
    radius: start.radius + change.radius * frame,
    angle: start.angle + change.angle * frame,
    opacity: start.opacity,
  };
  const rings = [
    { colour: colours[2], width: halo === 0 ? 0 : outline + halo, wanted: halo > 0 },
    { colour: colours[1], width: outline, wanted: outline > 0 },
    { colour: colours[0], width: 0, wanted: true },
  ];
  for (const { colour, width, wanted } of rings) {
    if (!wanted) continue;
    const coverage = insideOf(width * placed.radius);
    paintDistance(canvas, placed, shapes[layer.shape], { colour, reach: largestReach + width, coverage });
  }
}
