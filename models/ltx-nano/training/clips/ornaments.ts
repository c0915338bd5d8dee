/**
 * Random ornaments for the VAE's clips: outlines, halos, shadows and trails in arbitrary colours.
 *
 * Idea: a LoRA can only teach what the VAE can reconstruct, so the VAE is trained on more than the plain scenes the
 * transformer sees. No ornament is an effect of the example datasets: those are in `effects.ts` and are not used here.
 *
 * Shapes: see draw.ts. Widths and distances are in radii of the object.
 */
import { hue, type Rgb } from "./colours.ts";
import { type Effect, insideOf, paintDistance } from "./draw.ts";
import type { Random } from "./random.ts";
import { largestReach, shapes } from "./shapes.ts";

const kinds = { outline: 3, halo: 3, both: 3, shadow: 1, trail: 2 } as const;

export type OrnamentKind = keyof typeof kinds;

/** One ornament by lot, of a kind by lot unless it is named. */
export function sampleOrnament(random: Random, named?: OrnamentKind): Effect {
  const kind = named ?? random.weighted(kinds);
  if (kind === "shadow") return shadow(random);
  if (kind === "trail") return trail(random);
  const outline = kind === "halo" ? 0 : random.range(0.08, 0.35);
  const halo = kind === "outline" ? 0 : random.range(0.15, 0.6);
  return rings(random, outline, halo);
}

export type ColourAt = (seconds: number) => Rgb;

/** A fixed colour, or one that runs round the colour circle. */
export function sampleColour(random: Random): ColourAt {
  const grey = random.next();
  if (random.chance(0.25)) return () => [grey, grey, grey];
  const start = random.next();
  const turnsPerSecond = random.chance(0.4) ? random.range(-1, 1) : 0;
  const strength = random.range(0.4, 1);
  const base = random.range(0, 1 - strength);
  return (seconds) =>
    hue(start + turnsPerSecond * seconds).map((value) => base + strength * value) as unknown as Rgb;
}

/** Bands round the shape; the outer one may breathe. */
function rings(random: Random, outline: number, halo: number): Effect {
  const [inner, outer] = [sampleColour(random), sampleColour(random)];
  const breath = random.chance(0.5) ? random.range(0.2, 0.7) : 0;
  const period = random.range(0.5, 2);
  return (canvas, { object, placement, seconds }) => {
    const shape = shapes[object.shape];
    const swing = 1 - breath * (0.5 - 0.5 * Math.cos((2 * Math.PI * seconds) / period));
    const bands: readonly (readonly [width: number, colour: Rgb])[] = [
      [outline + halo * swing, outer(seconds)],
      [outline, inner(seconds)],
    ];
    for (const [width, colour] of bands) {
      if (width === 0) continue;
      const coverage = insideOf(width * placement.radius);
      paintDistance(canvas, placement, shape, { colour, reach: largestReach + width, coverage });
    }
  };
}

function shadow(random: Random): Effect {
  const colour = sampleColour(random);
  const [dx, dy] = [random.range(-0.6, 0.6), random.range(0.1, 0.6)];
  return (canvas, { object, placement, seconds }) => {
    const { x, y, radius } = placement;
    const moved = { ...placement, x: x + dx * radius, y: y + dy * radius };
    const paint = { colour: colour(seconds), reach: largestReach, coverage: insideOf(0) };
    paintDistance(canvas, moved, shapes[object.shape], paint);
  };
}

/** Copies that follow the object, smaller and smaller. */
function trail(random: Random): Effect {
  const colour = sampleColour(random);
  const copies = random.integer(2, 5);
  const delay = random.range(0.08, 0.3);
  const smaller = random.range(0.6, 0.95);
  return (canvas, { object, seconds, ago }) => {
    for (let copy = copies; copy >= 1; copy--) {
      const placed = ago(copy * delay);
      const shrunk = { ...placed, radius: placed.radius * smaller ** copy };
      const paint = { colour: colour(seconds), reach: largestReach, coverage: insideOf(0) };
      paintDistance(canvas, shrunk, shapes[object.shape], paint);
    }
  };
}
