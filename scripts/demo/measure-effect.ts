/**
 * Looks at a finished training's previews and counts those that wear the example's effect, with the LoRA and without.
 *
 * Run: node --conditions=source --import tsx scripts/demo/measure-effect.ts JOB-FOLDER COLOUR [COLOUR ...]
 * The colours are those of the objects, preview by preview. Prints one JSON object: `{ "previews": 2, "on": 2, "off": 0 }`.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { type ObjectColour, objectColourNames } from "../nano/colours.ts";
import type { Clip } from "../nano/draw.ts";
import { readEffect } from "../nano/judge/effect.ts";

type Stream = { readonly width: number; readonly height: number };

function run(program: string, args: readonly string[]): Buffer {
  const { status, stdout, stderr, error } = spawnSync(program, args, { maxBuffer: 1 << 30 });
  if (status !== 0) throw new Error(`${program}: ${error?.message ?? stderr.toString().trim()}`);
  return stdout;
}

function readClip(path: string): Clip {
  const described = run("ffprobe", [
    ...["-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "json", path],
  ]);
  const { width, height } = (JSON.parse(described.toString()) as { streams: [Stream] }).streams[0];
  const bytes = run("ffmpeg", ["-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]);
  const plane = width * height;
  const frames = bytes.length / (3 * plane);
  const pixels = new Float32Array(bytes.length);
  for (const [at, value] of bytes.entries()) {
    const [pixel, channel] = [Math.floor(at / 3), at % 3];
    pixels[channel * frames * plane + pixel] = value / 255;
  }
  return { format: { width, height, frames, fps: 25 }, pixels };
}

const [folder, ...colours] = process.argv.slice(2);
if (folder === undefined || !colours.every((name) => objectColourNames.includes(name as ObjectColour))) {
  throw new Error(`usage: measure-effect.ts JOB-FOLDER COLOUR ..., of ${objectColourNames.join(", ")}`);
}
const count = (kind: "on" | "off"): number =>
  colours.filter((colour, index) => {
    const clip = readClip(join(folder, "samples", `final-lora-${kind}-${index + 1}.mp4`));
    return readEffect(clip, colour as ObjectColour).present;
  }).length;
process.stdout.write(`${JSON.stringify({ previews: colours.length, on: count("on"), off: count("off") })}\n`);
