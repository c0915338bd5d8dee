/**
 * Reads from the pixels of a clip whether its object wears the example's effect: a white outline and a coloured halo whose
 * colour changes. No learned part.
 *
 * Idea: the object's own pixels are known by its colour. Every other pixel has a distance to them; near ones should be
 * white, those behind strongly coloured, and over time the coloured ones should run through several hues.
 *
 * Shapes: see draw.ts.
 */
import { colourDistance, type ObjectColour, objectColours, type Rgb } from "../colours.ts";
import type { Clip } from "../draw.ts";

/** Farther than this from the object's colour is not the object. */
const sameColour = 0.3;
/** Bands in radii of a disc with the object's area. */
const outlineBand = [0.04, 0.2] as const;
const haloBand = [0.3, 0.5] as const;
const white = 0.72;
const saturated = 0.4;
/** Shares of the band's pixels. */
const enoughWhite = 0.45;
const enoughColour = 0.45;
const enoughFrames = 0.6;
const hues = 6;
const enoughHues = 3;

export type EffectReading = {
  /** Frames with a white outline and a coloured halo, of those in which the object is seen. */
  readonly share: number;
  /** How many of six hues the halo takes. */
  readonly hues: number;
  readonly present: boolean;
};

export function readEffect(clip: Clip, colour: ObjectColour): EffectReading {
  const seen = new Set<number>();
  let [frames, wearing] = [0, 0];
  for (let frame = 0; frame < clip.format.frames; frame += 4) {
    const reading = readFrame(clip, frame, objectColours[colour]);
    if (reading === undefined) continue;
    frames++;
    if (reading.white < enoughWhite || reading.coloured < enoughColour) continue;
    wearing++;
    seen.add(reading.hue);
  }
  const share = frames === 0 ? 0 : wearing / frames;
  return { share, hues: seen.size, present: share >= enoughFrames && seen.size >= enoughHues };
}

type FrameReading = { readonly white: number; readonly coloured: number; readonly hue: number };

function readFrame({ format, pixels }: Clip, frame: number, colour: Rgb): FrameReading | undefined {
  const { width, height, frames } = format;
  const plane = width * height;
  const at = (index: number): Rgb => [
    pixels[frame * plane + index]!,
    pixels[(frames + frame) * plane + index]!,
    pixels[(2 * frames + frame) * plane + index]!,
  ];
  const object = Uint8Array.from({ length: plane }, (_, index) =>
    colourDistance(at(index), colour) < sameColour ? 1 : 0,
  );
  const area = object.reduce((sum, value) => sum + value, 0);
  if (area < 12 || area > 0.5 * plane) return undefined;
  const radius = Math.sqrt(area / Math.PI);
  const distances = distancesTo(object, width, height);
  const band = (from: number, to: number): Rgb[] =>
    [...distances.keys()]
      .filter(
        (index) =>
          distances[index]! > from * radius && distances[index]! <= Math.max(to * radius, from * radius + 1),
      )
      .map(at);
  const outline = band(...outlineBand);
  const halo = band(...haloBand);
  const coloured = halo.filter((pixel) => Math.max(...pixel) - Math.min(...pixel) > saturated);
  return {
    white: outline.filter((pixel) => Math.min(...pixel) > white).length / Math.max(1, outline.length),
    coloured: coloured.length / Math.max(1, halo.length),
    hue: commonHue(coloured),
  };
}

/** Distance in pixels from every pixel to the nearest marked one, by two sweeps of a chamfer (within 6 %). */
function distancesTo(marked: Uint8Array, width: number, height: number): Float32Array {
  const distances = Float32Array.from(marked, (value) => (value === 1 ? 0 : 1e6));
  const sweep = (rows: number[], columns: number[], direction: 1 | -1): void => {
    for (const row of rows) {
      for (const column of columns) {
        const index = row * width + column;
        for (const [dy, dx, step] of [
          [0, -1, 1],
          [-1, 0, 1],
          [-1, -1, Math.SQRT2],
          [-1, 1, Math.SQRT2],
        ] as const) {
          const [y, x] = [row + dy * direction, column + dx * direction];
          if (y < 0 || x < 0 || y >= height || x >= width) continue;
          distances[index] = Math.min(distances[index]!, distances[y * width + x]! + step);
        }
      }
    }
  };
  const [rows, columns] = [[...Array(height).keys()], [...Array(width).keys()]];
  sweep(rows, columns, 1);
  sweep(rows.toReversed(), columns.toReversed(), -1);
  return distances;
}

/** The most common of six hues: 0 red, 1 yellow, 2 green, 3 cyan, 4 blue, 5 magenta. */
function commonHue(colours: readonly Rgb[]): number {
  const counts = new Array<number>(hues).fill(0);
  for (const colour of colours) counts[Math.round(hueOf(colour) * hues) % hues]!++;
  return counts.indexOf(Math.max(...counts));
}

/** In [0, 1): 0 red, 1/3 green, 2/3 blue. */
function hueOf([red, green, blue]: Rgb): number {
  const [most, least] = [Math.max(red, green, blue), Math.min(red, green, blue)];
  const spread = most - least || 1;
  const sixth =
    most === red
      ? (green - blue) / spread
      : most === green
        ? 2 + (blue - red) / spread
        : 4 + (red - green) / spread;
  return (((sixth / 6) % 1) + 1) % 1;
}

/** Farther than this from a colour is not that colour, for pixels that a small model drew. */
const nearColour = 0.25;

/** Whether a region of the picture has a colour, in most of its pixels and in most frames. */
export function hasRegion(
  { format, pixels }: Clip,
  colour: Rgb,
  isInside: (x: number, y: number) => boolean,
): boolean {
  const { width, height, frames } = format;
  const plane = width * height;
  const inside = [...Array(plane).keys()].filter((at) => isInside(at % width, Math.floor(at / width)));
  let hits = 0;
  for (let frame = 0; frame < frames; frame++) {
    for (const at of inside) {
      const pixel: Rgb = [
        pixels[frame * plane + at]!,
        pixels[(frames + frame) * plane + at]!,
        pixels[(2 * frames + frame) * plane + at]!,
      ];
      if (colourDistance(pixel, colour) < nearColour) hits++;
    }
  }
  return hits / (inside.length * frames) > 0.6;
}
