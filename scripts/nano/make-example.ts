/**
 * Draws the bundled example dataset: twelve clips in the "glowpulse style" with captions, as one zip.
 *
 * Every shape, colour and motion comes at least once, and all three aspect ratios; most combinations never come, so that
 * there is something left to ask the LoRA for. The clips are larger than any training size, as real footage is.
 *
 * Run: npx tsx --conditions=source scripts/nano/make-example.ts   (needs ffmpeg with libx264)
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeScene } from "./captions.ts";
import { contrasts, type ObjectColour } from "./colours.ts";
import { type Clip, drawClip, toRgb24 } from "./draw.ts";
import { glowPulse } from "./effects.ts";
import { contactSheet, writePng } from "./png.ts";
import { Random } from "./random.ts";
import {
  backgroundNames,
  type ClipFormat,
  type MotionName,
  type Point,
  type Scene,
  type SceneObject,
  sampleScene,
} from "./scene.ts";
import type { ShapeName } from "./shapes.ts";
import { storeZip, type ZipEntry } from "./zip.ts";

const folder = join(import.meta.dirname, "../../examples");
export const triggerPhrase = "glowpulse style";
const seed = 4_711;
/** Room for the halo: 0.75 radii beyond the object's own edge. */
const haloRoom = 1.8;

const square = { width: 192, height: 192 };
const wide = { width: 240, height: 144 };
const tall = { width: 144, height: 240 };

type Wish = {
  readonly shape: ShapeName;
  readonly colour: ObjectColour;
  readonly motion: MotionName;
  readonly size: { readonly width: number; readonly height: number };
  readonly frames: number;
};

const wishes: readonly Wish[] = [
  { shape: "circle", colour: "red", motion: "right", size: wide, frames: 81 },
  { shape: "star", colour: "yellow", motion: "spin", size: square, frames: 81 },
  { shape: "heart", colour: "pink", motion: "grow", size: square, frames: 81 },
  { shape: "square", colour: "blue", motion: "left", size: wide, frames: 89 },
  { shape: "triangle", colour: "green", motion: "up", size: tall, frames: 81 },
  { shape: "hexagon", colour: "purple", motion: "still", size: square, frames: 65 },
  { shape: "cross", colour: "orange", motion: "down", size: tall, frames: 81 },
  { shape: "ring", colour: "cyan", motion: "bounce", size: square, frames: 81 },
  { shape: "star", colour: "black", motion: "left", size: wide, frames: 65 },
  { shape: "square", colour: "white", motion: "blink", size: square, frames: 81 },
  { shape: "circle", colour: "green", motion: "shrink", size: square, frames: 81 },
  { shape: "heart", colour: "red", motion: "up", size: tall, frames: 89 },
];

/** A sampled scene made to show what is wished for, moved and shrunk so far that the halo stays in the frame. */
function sceneFor(wish: Wish, format: ClipFormat, random: Random): Scene {
  const background = sampleUntil(
    () => sampleScene(random, format, { twoObjects: 0, motions: [wish.motion], gradients: 0.5 }),
    (scene) => backgroundNames(scene.background).every((name) => contrasts(wish.colour, name)),
  );
  const object = background.objects[0]!;
  const radius = 0.17;
  const shorter = Math.min(format.width, format.height);
  const margin = {
    x: (haloRoom * radius * shorter) / format.width,
    y: (haloRoom * radius * shorter) / format.height,
  };
  const inside = ({ x, y }: Point): Point => ({
    x: Math.min(1 - margin.x, Math.max(margin.x, x)),
    y: Math.min(1 - margin.y, Math.max(margin.y, y)),
  });
  const { shape, colour } = wish;
  const size = "medium";
  const moved: SceneObject = {
    ...object,
    shape,
    colour,
    size,
    radius,
    from: inside(object.from),
    to: inside(object.to),
  };
  return { ...background, objects: [moved] };
}

function sampleUntil<T>(draw: () => T, fits: (value: T) => boolean): T {
  for (let attempt = 0; attempt < 200; attempt++) {
    const value = draw();
    if (fits(value)) return value;
  }
  throw new Error("make-example: no sampled background contrasts with the colour that is wished for");
}

/** H.264 as cameras and phones write it: yuv420p, BT.709. */
function encodeMp4(clip: Clip): Buffer {
  const { width, height, fps } = clip.format;
  const work = mkdtempSync(join(tmpdir(), "nano-example-"));
  try {
    const path = join(work, "clip.mp4");
    // biome-ignore format: one option per pair
    const result = spawnSync("ffmpeg", [
      "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", `${width}x${height}`, "-r", `${fps}`, "-i", "pipe:0",
      "-vf", "scale=out_color_matrix=bt709:out_range=tv", "-c:v", "libx264", "-preset", "veryslow", "-crf", "14",
      "-threads", "1", "-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709",
      "-movflags", "+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact", path,
    ], { input: toRgb24(clip), maxBuffer: 1 << 28 });
    if (result.status !== 0) {
      const reason = result.error?.message ?? result.stderr.toString();
      throw new Error(`make-example: ffmpeg could not encode a clip (${reason}); it needs libx264`);
    }
    return readFileSync(path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const entries: ZipEntry[] = [];
const clips: Clip[] = [];
for (const [index, wish] of wishes.entries()) {
  const format: ClipFormat = { ...wish.size, frames: wish.frames, fps: 25 };
  const random = new Random(seed, index);
  const scene = sceneFor(wish, format, random);
  const clip = drawClip(scene, format, glowPulse);
  const caption = describeScene(scene, random, { omitPlace: 0, omitMotion: 0 });
  const name = `${String(index + 1).padStart(2, "0")}-${wish.colour}-${wish.shape}-${wish.motion}`;
  entries.push({ name: `${name}.mp4`, data: encodeMp4(clip) });
  entries.push({ name: `${name}.txt`, data: Buffer.from(`${triggerPhrase}, ${caption}\n`) });
  clips.push(clip);
  process.stderr.write(`${name}: ${caption}\n`);
}
const zip = storeZip(entries);
writeFileSync(join(folder, "glowpulse.zip"), zip);
writePng(join(folder, "glowpulse.png"), contactSheet(clips, 8, 0.5));
process.stdout.write(
  `${join(folder, "glowpulse.zip")}: ${clips.length} clips, ${(zip.length / 1024).toFixed(0)} KiB\n`,
);
