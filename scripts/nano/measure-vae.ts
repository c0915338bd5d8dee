/**
 * How well the bundled VAE brings clips back: PSNR of unseen clips by kind and size, as stored (half precision), and the
 * time to encode and decode.
 *
 * Run: npx tsx --conditions=source scripts/nano/measure-vae.ts [PICTURE.png]
 */
import { join } from "node:path";
import { openBase, type Vae } from "@ltx-trainer/ltx";
import { Generator, noGrad, scope, setNumThreads } from "@ltx-trainer/torch";
import { toClips, toPixels } from "./batches.ts";
import { streamOf } from "./curriculum.ts";
import { type Clip, drawClip, type Effect } from "./draw.ts";
import { glowPulse } from "./effects.ts";
import { contactSheet, writePng } from "./png.ts";
import { type ClipFormat, sampleScene } from "./scene.ts";
import { psnr } from "./vae-objective.ts";

const formats: readonly ClipFormat[] = [
  { width: 64, height: 64, frames: 25, fps: 25 },
  { width: 112, height: 64, frames: 17, fps: 15 },
  { width: 80, height: 144, frames: 9, fps: 30 },
  { width: 112, height: 112, frames: 81, fps: 25 },
];
const kinds: Readonly<Record<string, Effect | undefined>> = { plain: undefined, glowing: glowPulse };
const clipsPerFormat = 8;
const decodeTimestep = 0.05;

function measure(vae: Vae, format: ClipFormat, effect: Effect | undefined, rows: Clip[]): string {
  const clips = Array.from({ length: clipsPerFormat }, (_, index) =>
    drawClip(sampleScene(streamOf(5, "held out", 1000 + index), format), format, effect),
  );
  const ratios: number[] = [];
  let encodeMs = 0;
  let decodeMs = 0;
  for (const [index, clip] of clips.entries()) {
    scope(() =>
      noGrad(() => {
        const pixels_BCfhw = toPixels([clip]);
        const start = performance.now();
        const latents = vae.mode(vae.encode(pixels_BCfhw));
        const middle = performance.now();
        const decoded = vae.decode(latents, { timestep: decodeTimestep, generator: new Generator(index) });
        decodeMs += performance.now() - middle;
        encodeMs += middle - start;
        ratios.push(...psnr(decoded, pixels_BCfhw));
        if (index < 3 && format.frames < 81) rows.push(clip, ...toClips(decoded, format));
      }),
    );
  }
  const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
  const range = `${Math.min(...ratios).toFixed(1)} to ${Math.max(...ratios).toFixed(1)}`;
  const times = `encode ${(encodeMs / clipsPerFormat).toFixed(0)} ms, decode ${(decodeMs / clipsPerFormat).toFixed(0)} ms`;
  return `PSNR ${mean.toFixed(1)} dB (${range}), ${times}`;
}

setNumThreads(2);
const vae = openBase(join(import.meta.dirname, "../../models/ltx-nano")).loadVae({ dtype: "float32" });
const rows: Clip[] = [];
for (const [kind, effect] of Object.entries(kinds)) {
  for (const format of formats) {
    const name = `${format.width}x${format.height}x${format.frames}`;
    process.stdout.write(`${kind} ${name}: ${measure(vae, format, effect, rows)}\n`);
  }
}
const [picture] = process.argv.slice(2);
if (picture !== undefined) writePng(picture, contactSheet(rows, 9));
