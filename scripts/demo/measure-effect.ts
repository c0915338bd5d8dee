/**
 * Decides for each preview of a finished training whether it shows the example's effect, with and without the LoRA.
 *
 * Run: node --conditions=source --import tsx scripts/demo/measure-effect.ts JOB-FOLDER COUNT
 * Prints one JSON object with a boolean per preview: `{ "on": [true, true], "off": [false, false] }`.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { Clip } from "../../models/ltx-nano/training/clips/draw.ts";
import { exampleEffects } from "../../models/ltx-nano/training/example/example-effects.ts";

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

const [folder, count] = process.argv.slice(2);
if (folder === undefined || !(Number(count) > 0))
  throw new Error("usage: measure-effect.ts JOB-FOLDER COUNT");
const seen = (kind: "on" | "off"): boolean[] =>
  Array.from({ length: Number(count) }, (_, index) =>
    exampleEffects.glowpulse.isPresent(
      readClip(join(folder, "samples", `final-lora-${kind}-${index + 1}.mp4`)),
    ),
  );
process.stdout.write(`${JSON.stringify({ on: seen("on"), off: seen("off") })}\n`);
