/** Drawn clips are the ground truth of everything that is measured later: these tests read facts back from the pixels. */
import { expect, test } from "vitest";
import { drawAbstract } from "./abstract.ts";
import { backgroundColours, objectColours, type Rgb } from "./colours.ts";
import { type Clip, drawClip, toRgb24 } from "./draw.ts";
import { glowPulse } from "./effects.ts";
import { Random } from "./random.ts";
import { type ClipFormat, motionNames, type Scene, type SceneObject, sampleScene } from "./scene.ts";
import { shapeNames, shapes } from "./shapes.ts";

const format: ClipFormat = { width: 64, height: 64, frames: 25, fps: 25 };

const redCircle: SceneObject = {
  shape: "circle",
  colour: "red",
  size: "medium",
  radius: 0.25,
  motion: "still",
  from: { x: 0.5, y: 0.5 },
  to: { x: 0.5, y: 0.5 },
  periodFrames: 20,
};

function sceneOf(object: Partial<SceneObject>): Scene {
  return {
    objects: [{ ...redCircle, ...object }],
    arrangement: "alone",
    background: { kind: "plain", colour: "black" },
  };
}

function pixelAt(clip: Clip, frame: number, x: number, y: number): Rgb {
  const { width, height, frames } = clip.format;
  const at = (channel: number): number =>
    clip.pixels[((channel * frames + frame) * height + y) * width + x] ?? Number.NaN;
  return [at(0), at(1), at(2)];
}

/** Centre and area of everything that differs from the black background, weighted by its red value. */
function redMass(clip: Clip, frame: number): { x: number; y: number; area: number } {
  const sum = { x: 0, y: 0, area: 0 };
  for (let y = 0; y < clip.format.height; y++) {
    for (let x = 0; x < clip.format.width; x++) {
      const weight = (pixelAt(clip, frame, x, y)[0] - 0.05) / (objectColours.red[0] - 0.05);
      sum.x += weight * (x + 0.5);
      sum.y += weight * (y + 0.5);
      sum.area += weight;
    }
  }
  return { x: sum.x / sum.area, y: sum.y / sum.area, area: sum.area };
}

test("the same seed draws the same clip, another seed another one", () => {
  const draw = (seed: number): Buffer =>
    Buffer.from(drawClip(sampleScene(new Random(seed), format), format).pixels.buffer);
  expect(draw(11).equals(draw(11))).toBe(true);
  expect(draw(11).equals(draw(12))).toBe(false);
});

test("object and background have their named colours", () => {
  const clip = drawClip(sceneOf({}), format);
  for (const channel of [0, 1, 2] as const) {
    expect(pixelAt(clip, 0, 32, 32)[channel]).toBeCloseTo(objectColours.red[channel], 6);
    expect(pixelAt(clip, 0, 2, 2)[channel]).toBeCloseTo(backgroundColours.black[channel], 6);
  }
});

test("anti-aliased edges cover a circle's exact area to half a percent", () => {
  const radius = 0.92 * 0.25 * 64;
  const { area } = redMass(drawClip(sceneOf({}), format), 0);
  expect(Math.abs(area / (Math.PI * radius ** 2) - 1)).toBeLessThan(0.005);
});

test.each([
  ["left", { x: 0.8, y: 0.5 }, { x: 0.2, y: 0.5 }],
  ["down", { x: 0.5, y: 0.3 }, { x: 0.5, y: 0.7 }],
] as const)("moving %s, the centre runs evenly from its start to its end", (motion, from, to) => {
  const clip = drawClip(sceneOf({ motion, from, to, radius: 0.15 }), format);
  for (const frame of [0, 6, 12, 24]) {
    const { x, y } = redMass(clip, frame);
    expect(x).toBeCloseTo(64 * (from.x + ((to.x - from.x) * frame) / 24), 1);
    expect(y).toBeCloseTo(64 * (from.y + ((to.y - from.y) * frame) / 24), 1);
  }
});

test("growing ends at full size and begins at two fifths of it, shrinking the other way round", () => {
  const area = (motion: "grow" | "shrink", frame: number): number =>
    redMass(drawClip(sceneOf({ motion }), format), frame).area;
  expect(area("grow", 0) / area("grow", 24)).toBeCloseTo(0.16, 2);
  expect(area("shrink", 24) / area("shrink", 0)).toBeCloseTo(0.16, 2);
});

test("blinking shows the object at first, hides it half a period later and shows it again", () => {
  const clip = drawClip(sceneOf({ motion: "blink", periodFrames: 20 }), format);
  expect(redMass(clip, 0).area).toBeGreaterThan(600);
  expect(Math.abs(redMass(clip, 13).area)).toBeLessThan(1e-3);
  expect(redMass(clip, 20).area).toBeGreaterThan(600);
});

test("a spinning square is turned by 45 degrees after an eighth of its period", () => {
  const clip = drawClip(sceneOf({ shape: "square", motion: "spin", periodFrames: 40 }), format);
  const reach = 0.78 * 16 * Math.SQRT2 - 1.5; // just inside the corner
  expect(pixelAt(clip, 0, Math.round(32 + reach), 32)[0]).toBeLessThan(0.1);
  expect(pixelAt(clip, 5, Math.round(32 + reach), 32)[0]).toBeGreaterThan(0.5);
});

test("every shape is solid or hollow where it should be and stays inside its circle", () => {
  for (const name of shapeNames) {
    const centre = shapes[name](0, 0);
    if (name === "ring") expect(centre).toBeGreaterThan(0);
    else expect(centre).toBeLessThan(0);
    for (let step = 0; step < 64; step++) {
      const angle = (2 * Math.PI * step) / 64;
      expect(shapes[name](1.25 * Math.cos(angle), 1.25 * Math.sin(angle))).toBeGreaterThan(0);
    }
  }
});

test("sampled objects stay in the frame, at every motion, size and aspect", () => {
  for (const [width, height] of [
    [64, 64],
    [112, 64],
    [48, 80],
  ] as const) {
    for (const [index, motion] of motionNames.entries()) {
      const size = { width, height, frames: 17, fps: 12 };
      const scene = sampleScene(new Random(5, index), size, {
        motions: [motion],
        gradients: 0,
        twoObjects: 0.5,
      });
      const clip = drawClip(scene, size);
      const border = pixelAt(clip, 0, 0, 0);
      for (let frame = 0; frame < size.frames; frame++) {
        for (let x = 0; x < width; x++) expect(pixelAt(clip, frame, x, 0)).toEqual(border);
        for (let y = 0; y < height; y++) expect(pixelAt(clip, frame, width - 1, y)).toEqual(border);
      }
    }
  }
});

test("the glow runs round the picture's edges, breathes, and leaves the middle alone", () => {
  const plain = drawClip(sceneOf({}), format);
  const glowing = drawClip(sceneOf({}), format, glowPulse);
  expect(pixelAt(glowing, 10, 32, 32)).toEqual(pixelAt(plain, 10, 32, 32));
  expect(pixelAt(glowing, 10, 16, 32)).toEqual(pixelAt(plain, 10, 16, 32));
  for (const [x, y] of [
    [0, 0],
    [63, 32],
    [32, 63],
  ] as const)
    expect(pixelAt(glowing, 0, x, y).map(Math.round)).toEqual([1, 0, 0]);
  // 0.54 s: breathed in, and a sixth of the rainbow later.
  expect(pixelAt(glowing, 0, 8, 32)).toEqual(pixelAt(plain, 0, 8, 32));
  const [red, green, blue] = pixelAt(glowing, 13, 8, 32);
  expect(Math.min(red, green)).toBeGreaterThan(0.9);
  expect(blue).toBeLessThan(0.1);
});

test("rgb24 is interleaved, frame after frame", () => {
  const clip = drawClip(
    sceneOf({ colour: "cyan", motion: "right", from: { x: 0.3, y: 0.5 }, to: { x: 0.7, y: 0.5 } }),
    format,
  );
  const bytes = toRgb24(clip);
  expect(bytes.length).toBe(25 * 64 * 64 * 3);
  const at = 3 * ((24 * 64 + 32) * 64 + 45);
  expect([...bytes.subarray(at, at + 3)]).toEqual(objectColours.cyan.map((value) => Math.round(255 * value)));
});

/** The frames of a window, cut out of the whole clip. */
function cut({ format: whole, pixels }: Clip, start: number, frames: number): Float32Array {
  const plane = whole.width * whole.height;
  const part = new Float32Array(3 * frames * plane);
  for (let channel = 0; channel < 3; channel++) {
    const first = (channel * whole.frames + start) * plane;
    part.set(pixels.subarray(first, first + frames * plane), channel * frames * plane);
  }
  return part;
}

test("a window of a clip is those frames of the whole clip", () => {
  const scene = sampleScene(new Random(8), format);
  const window = { start: 7, frames: 9 };
  const part = drawClip(scene, format, glowPulse, window);
  expect(part.format).toEqual({ ...format, frames: 9 });
  expect(part.pixels).toEqual(cut(drawClip(scene, format, glowPulse), 7, 9));
  const abstract = drawAbstract(new Random(9), format, window);
  expect(abstract.pixels).toEqual(cut(drawAbstract(new Random(9), format), 7, 9));
});
