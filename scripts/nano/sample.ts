/**
 * Looks at what ltx-nano generates: one row of frames per prompt, as a contact sheet.
 *
 * Run: npx tsx --conditions=source scripts/nano/sample.ts OUT.png [--seed N] [--steps N] [--guidance N] ["a prompt" ...]
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { decodeVideo, encodePrompt, latentGrid, openBase, sampleLatents } from "@ltx-trainer/ltx";
import { Generator, scope, setNumThreads } from "@ltx-trainer/torch";
import { toClips } from "./batches.ts";
import type { Clip } from "./draw.ts";
import { contactSheet, writePng } from "./png.ts";

const examples: readonly string[] = [
  "a red circle moving to the right on a black background",
  "a large blue square moving left on a white background",
  "a yellow star spinning on a navy background",
  "a green triangle moving up on a beige background",
  "a purple heart growing on a mint background",
  "an orange ring falling down on a teal background",
  "a pink hexagon shrinking on a brown background",
  "a white cross bouncing on a maroon background",
  "a cyan circle blinking on a gradient from black to navy",
  "a black star standing still on a lavender background",
];

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: "1" },
    steps: { type: "string", default: "20" },
    guidance: { type: "string", default: "3" },
    width: { type: "string", default: "64" },
    height: { type: "string", default: "64" },
    frames: { type: "string", default: "25" },
  },
});

const [out = "samples.png", ...asked] = positionals;
setNumThreads(1);
const base = openBase(join(import.meta.dirname, "../../models/ltx-nano"));
const dtype = "float32";
const tokenizer = base.loadTokenizer();
const encoder = base.loadTextEncoder({ dtype });
const transformer = base.loadTransformer({ dtype });
const vae = base.loadVae({ dtype });
const size = { width: Number(options.width), height: Number(options.height), frames: Number(options.frames) };
const fps = 25;

function sample(prompt: string, index: number): Clip[] {
  return scope(() => {
    const embed = (text: string) =>
      encodePrompt(tokenizer, encoder, text, base.textLength, { maskPadding: true });
    const generator = new Generator(Number(options.seed) + index);
    const latents_BCFHW = sampleLatents({
      transformer,
      positive: embed(prompt),
      negative: embed(""),
      guidance: Number(options.guidance),
      schedule: base.scheduleRule,
      steps: Number(options.steps),
      grid: latentGrid(size, base.compression),
      frameRate: fps,
      causalTime: base.causalTimeCoordinates,
      generator,
    });
    const pixels = decodeVideo(vae, latents_BCFHW, {
      decodeTimestep: 0.05,
      decodeNoiseScale: 0.025,
      generator,
    });
    return toClips(pixels, { fps });
  });
}

const prompts = asked.length > 0 ? asked : examples;
writePng(out, contactSheet(prompts.flatMap(sample), 9));
process.stdout.write(`${prompts.join("\n")}\n${out}\n`);
