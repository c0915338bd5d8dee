/**
 * Separates the object of a clip from its background, by arithmetic on the pixels alone.
 *
 * Idea: backgrounds of the drawn world are flat or linear gradients, so a plane per colour channel, fitted robustly to the
 * pixels' medians over time, is the background; what differs from it is the object. Every pixel on an edge is a mix of
 * the two colours, and its share of the object's is the coverage.
 *
 * Shapes: clips are C f h w in [0, 1]; a mask is h w, one share per pixel.
 */
import {
  colourDistance,
  type ObjectColour,
  objectColourNames,
  objectColours,
  type Rgb,
} from "../clips/colours.ts";
import type { Clip } from "../clips/draw.ts";

export type Segmented = {
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  /** Per frame, `height * width` shares in [0, 1]. */
  readonly masks: readonly Float32Array[];
  /** Median colour of what differs most from the background; undefined when nothing does. */
  readonly colour: Rgb | undefined;
};

/** Objects differ from their backgrounds by at least 0.42 (`minimumContrast`); noise and halos of the VAE by far less. */
const visibleDifference = 0.2;
const robustScale = 0.06;
const fittings = 8;

export function segment(clip: Clip): Segmented {
  const { width, height, frames } = clip.format;
  const plane = width * height;
  const background = [0, 1, 2].map((channel) =>
    fitPlane(temporalMedian(clip, channel), width, height),
  ) as unknown as Rgb3;
  const colour = objectColour(clip, background);
  const masks = Array.from({ length: frames }, () => new Float32Array(plane));
  if (colour === undefined) return { width, height, frames, masks, colour };
  for (let at = 0; at < plane; at++) {
    const behind = colourAt(background, at);
    const towards = colour.map((value, channel) => value - behind[channel]!);
    const length = towards.reduce((sum, value) => sum + value * value, 0) || 1;
    for (let frame = 0; frame < frames; frame++) {
      const pixel = pixelAt(clip, frame, at);
      const along = pixel.reduce(
        (sum, value, channel) => sum + (value - behind[channel]!) * towards[channel]!,
        0,
      );
      masks[frame]![at] = Math.min(1, Math.max(0, along / length));
    }
  }
  return { width, height, frames, masks, colour };
}

/** The nearest of the named object colours. */
export function nameColour(colour: Rgb): ObjectColour {
  return objectColourNames.reduce((best, name) =>
    colourDistance(objectColours[name], colour) < colourDistance(objectColours[best], colour) ? name : best,
  );
}

type Rgb3 = readonly [Float32Array, Float32Array, Float32Array];

function colourAt(planes: Rgb3, at: number): Rgb {
  return [planes[0][at]!, planes[1][at]!, planes[2][at]!];
}

function pixelAt({ format, pixels }: Clip, frame: number, at: number): Rgb {
  const plane = format.width * format.height;
  const stride = format.frames * plane;
  const first = frame * plane + at;
  return [pixels[first]!, pixels[first + stride]!, pixels[first + 2 * stride]!];
}

function median(values: Float32Array): number {
  return values.sort()[values.length >> 1] ?? 0;
}

function temporalMedian({ format, pixels }: Clip, channel: number): Float32Array {
  const plane = format.width * format.height;
  const values = new Float32Array(format.frames);
  return Float32Array.from({ length: plane }, (_, at) => {
    for (let frame = 0; frame < format.frames; frame++)
      values[frame] = pixels[(channel * format.frames + frame) * plane + at]!;
    return median(values);
  });
}

/** The plane `a + b x + c y` through the image, first through its border, then through all that lies near it. */
function fitPlane(image: Float32Array, width: number, height: number): Float32Array {
  const border = 2;
  let weights = Float32Array.from(image, (_, at) => {
    const [x, y] = [at % width, Math.floor(at / width)];
    return x < border || y < border || x >= width - border || y >= height - border ? 1 : 0;
  });
  let plane = image;
  for (let fitting = 0; fitting < fittings; fitting++) {
    plane = weightedPlane(image, weights, width);
    weights = image.map((value, at) => (1 + ((value - plane[at]!) / robustScale) ** 2) ** -2);
  }
  return plane;
}

/** Least squares by the normal equations of three unknowns. */
function weightedPlane(image: Float32Array, weights: Float32Array, width: number): Float32Array {
  const sums = new Float64Array(9);
  for (const [at, weight] of weights.entries()) {
    const basis = [1, at % width, Math.floor(at / width)];
    const terms = [0, 1, 2].flatMap((row) =>
      (row === 0 ? [0, 1, 2] : row === 1 ? [1, 2] : [2]).map((column) => [row, column] as const),
    );
    for (const [index, [row, column]] of terms.entries())
      sums[index]! += weight * basis[row]! * basis[column]!;
    for (let row = 0; row < 3; row++) sums[6 + row]! += weight * basis[row]! * image[at]!;
  }
  const [s, sx, sy, sxx, sxy, syy, v, vx, vy] = sums as unknown as number[];
  const solution = solve3([s!, sx!, sy!], [sx!, sxx!, sxy!], [sy!, sxy!, syy!], [v!, vx!, vy!]);
  return image.map(
    (_, at) => solution[0] + solution[1] * (at % width) + solution[2] * Math.floor(at / width),
  );
}

type Three = readonly [number, number, number];

/** Cramer's rule. */
function solve3(a: Three, b: Three, c: Three, value: Three): Three {
  const det = (p: Three, q: Three, r: Three): number =>
    p[0] * (q[1] * r[2] - q[2] * r[1]) -
    p[1] * (q[0] * r[2] - q[2] * r[0]) +
    p[2] * (q[0] * r[1] - q[1] * r[0]);
  const whole = det(a, b, c) || 1;
  const replaced = (column: number): number => {
    const rows = [a, b, c].map((row, index) =>
      row.map((entry, at) => (at === column ? value[index]! : entry)),
    );
    return det(rows[0] as unknown as Three, rows[1] as unknown as Three, rows[2] as unknown as Three);
  };
  return [replaced(0) / whole, replaced(1) / whole, replaced(2) / whole];
}

/** Median of the pixels that differ by at least 0.7 of the largest common difference. */
function objectColour(clip: Clip, background: Rgb3): Rgb | undefined {
  const plane = clip.format.width * clip.format.height;
  const found: { readonly pixel: Rgb; readonly difference: number }[] = [];
  for (let frame = 0; frame < clip.format.frames; frame += 2) {
    for (let at = 0; at < plane; at++) {
      const pixel = pixelAt(clip, frame, at);
      const difference = colourDistance(pixel, colourAt(background, at));
      if (difference > visibleDifference) found.push({ pixel, difference });
    }
  }
  if (found.length < clip.format.frames) return undefined;
  const differences = found.map(({ difference }) => difference).sort((a, b) => a - b);
  const enough = 0.7 * differences[Math.floor(differences.length * 0.9)]!;
  const solid = found.filter(({ difference }) => difference >= enough);
  const middle = (channel: number): number =>
    median(Float32Array.from(solid, ({ pixel }) => pixel[channel]!));
  return [middle(0), middle(1), middle(2)];
}
