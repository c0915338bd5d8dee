/**
 * Decides from the pixels of a clip what it shows: colour, shape and motion of its one object. Nothing is learned.
 */
import type { ObjectColour } from "../clips/colours.ts";
import type { Clip } from "../clips/draw.ts";
import type { MotionName } from "../clips/scene.ts";
import type { ShapeName } from "../clips/shapes.ts";
import { nameColour, type Segmented, segment } from "./segment.ts";
import { fitShape, type Mask, type Moments, momentsOf, rankShapes, turned } from "./shape.ts";

export type Verdict = {
  readonly colour: ObjectColour;
  readonly shape: ShapeName;
  readonly motion: MotionName;
};

const framesForShape = 5;
/** Shares of the frame's width or height. */
const travelled = 0.08;
const hysteresis = 0.09;
const grown = 1.6;
const turnedEnough = 0.35;

/** undefined when nothing stands out from the background. */
export function judge(clip: Clip): Verdict | undefined {
  const segmented = segment(clip);
  if (segmented.colour === undefined) return undefined;
  const moments = segmented.masks.map((_, frame) => momentsOf(maskOf(segmented, frame)));
  const largest = percentile(
    moments.map(({ mass }) => mass),
    0.95,
  );
  const clear = moments.flatMap(({ mass }, frame) => (mass > 0.6 * largest ? [frame] : []));
  const shown = spread(clear, framesForShape).map((frame) => maskOf(segmented, frame));
  const shape = rankShapes(shown)[0]!.shape;
  return {
    colour: nameColour(segmented.colour),
    shape,
    motion: motionOf(segmented, moments, largest, shape),
  };
}

function maskOf({ width, height, masks }: Segmented, frame: number): Mask {
  return { width, height, shares: masks[frame]! };
}

function motionOf(
  segmented: Segmented,
  moments: readonly Moments[],
  largest: number,
  shape: ShapeName,
): MotionName {
  if (crossings(moments.map(({ mass }) => mass / largest)) >= 2) return "blink";
  const seen = moments.filter(({ mass }) => mass > 0.05 * largest);
  const { width, height } = segmented;
  const dx = change(seen.map(({ x }) => x)) / width;
  const dy = change(seen.map(({ y }) => y)) / height;
  const hops = reversals(
    seen.map(({ y }) => y / height),
    hysteresis,
  );
  if (hops >= 1) return "bounce";
  if (Math.max(Math.abs(dx), Math.abs(dy)) > travelled) {
    if (Math.abs(dx) * width > Math.abs(dy) * height) return dx > 0 ? "right" : "left";
    return dy > 0 ? "down" : "up";
  }
  const growth = ratio(seen.map(({ mass }) => mass));
  if (growth > grown) return "grow";
  if (growth < 1 / grown) return "shrink";
  return rotation(segmented, shape) > turnedEnough ? "spin" : "still";
}

/** How often the visible share goes below a third and above two thirds, in turn. */
function crossings(shares: readonly number[]): number {
  let state: boolean | undefined;
  let count = 0;
  for (const share of shares) {
    const next = share > 0.67 ? true : share < 0.33 ? false : state;
    if (state !== undefined && next !== state) count++;
    state = next;
  }
  return count;
}

/** Turning points of a track that moves by more than the threshold both before and after. */
function reversals(track: readonly number[], threshold: number): number {
  let [low, high, direction, count] = [track[0] ?? 0, track[0] ?? 0, 0, 0];
  for (const value of track) {
    low = Math.min(low, value);
    high = Math.max(high, value);
    if (direction <= 0 && value - low > threshold) {
      if (direction < 0) count++;
      [direction, high] = [1, value];
    } else if (direction >= 0 && high - value > threshold) {
      if (direction > 0) count++;
      [direction, low] = [-1, value];
    }
    if (direction > 0) low = value > high ? value : low;
    if (direction > 0 && value === high) low = value;
    if (direction < 0 && value === low) high = value;
  }
  return count;
}

/** Mean of the last tenth less the mean of the first tenth. */
function change(track: readonly number[]): number {
  return ends(track).last - ends(track).first;
}

function ratio(track: readonly number[]): number {
  const { first, last } = ends(track);
  return first === 0 ? 1 : last / first;
}

function ends(track: readonly number[]): { first: number; last: number } {
  const count = Math.max(1, Math.round(track.length / 10));
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return { first: mean(track.slice(0, count)), last: mean(track.slice(-count)) };
}

/** Largest turn away from the first frame on the way through the clip, in radians. */
function rotation(segmented: Segmented, shape: ShapeName): number {
  const steps = Math.min(segmented.frames, 20);
  let angle = fitShape(maskOf(segmented, 0), shape).angle;
  let [total, most] = [0, 0];
  for (let step = 1; step < steps; step++) {
    const frame = Math.round((step * (segmented.frames - 1)) / (steps - 1));
    const near = [-0.3, -0.15, 0, 0.15, 0.3, 0.45].map((turn) => angle + turn);
    const next = fitShape(maskOf(segmented, frame), shape, near).angle;
    total += turned(shape, angle, next);
    most = Math.max(most, Math.abs(total));
    angle = next;
  }
  return most;
}

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? 0;
}

/** At most `count` of the items, evenly spread. */
function spread<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from(
    { length: count },
    (_, index) => items[Math.round((index * (items.length - 1)) / (count - 1))]!,
  );
}
