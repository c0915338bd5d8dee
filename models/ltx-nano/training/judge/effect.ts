/**
 * Decides from the pixels of a clip whether part of the picture shows an effect. Nothing is learned.
 *
 * Shapes: see draw.ts.
 */
import { colourDistance, type Rgb } from "../clips/colours.ts";
import type { Clip } from "../clips/draw.ts";

/** Farther than this from a colour is not that colour, for pixels that a small model drew. */
const nearColour = 0.25;
/** Colours whose channels spread less have no hue. */
const leastSpread = 0.35;
const hues = 6;

export type Region = (x: number, y: number) => boolean;

/** The share of a region's pixels, over all frames, that have about a colour. */
export function shareOf(clip: Clip, colour: Rgb, region: Region): number {
  const pixels = frames(clip, 1).flatMap((frame) => pixelsOf(clip, frame, region));
  return pixels.filter((pixel) => colourDistance(pixel, colour) < nearColour).length / pixels.length;
}

/** Most of the edge of a frame has to have one hue, and less than this of its middle the same one. */
const enoughEdge = 0.6;
const tooMuchMiddle = 0.5;
const everyFrames = 4;

export type Glow = {
  /** Frames whose edge has one hue that the middle does not have. */
  readonly share: number;
  /** How many of six hues the edge takes in them. */
  readonly hues: number;
};

/** How a clip's edge glows, and in how many colours. */
export function readGlow(clip: Clip, edge: Region, middle: Region): Glow {
  const seen = new Set<number>();
  const looked = frames(clip, everyFrames);
  let glowing = 0;
  for (const frame of looked) {
    const shares = hueShares(pixelsOf(clip, frame, edge));
    const hue = shares.indexOf(Math.max(...shares));
    if (shares[hue]! < enoughEdge || hueShares(pixelsOf(clip, frame, middle))[hue]! > tooMuchMiddle) continue;
    glowing++;
    seen.add(hue);
  }
  return { share: glowing / looked.length, hues: seen.size };
}

function frames({ format }: Clip, every: number): number[] {
  return [...Array(format.frames).keys()].filter((frame) => frame % every === 0);
}

function pixelsOf({ format, pixels }: Clip, frame: number, region: Region): Rgb[] {
  const { width, height, frames: count } = format;
  const plane = width * height;
  const inside = [...Array(plane).keys()].filter((at) => region(at % width, Math.floor(at / width)));
  return inside.map((at) => [
    pixels[frame * plane + at]!,
    pixels[(count + frame) * plane + at]!,
    pixels[(2 * count + frame) * plane + at]!,
  ]);
}

/** What share has each hue: 0 red, 1 yellow, 2 green, 3 cyan, 4 blue, 5 magenta. A pixel between two counts for both. */
function hueShares(pixels: readonly Rgb[]): number[] {
  const counts = new Array<number>(hues).fill(0);
  for (const pixel of pixels) {
    if (Math.max(...pixel) - Math.min(...pixel) < leastSpread) continue;
    const at = hueOf(pixel) * hues;
    for (const near of new Set([Math.floor(at + 0.25), Math.ceil(at - 0.25)])) counts[near % hues]!++;
  }
  return counts.map((count) => count / Math.max(1, pixels.length));
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
