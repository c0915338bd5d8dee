/**
 * Writes a contact sheet of what ltx-nano generates: one row of frames per prompt.
 *
 * Run: npx tsx --conditions=source models/ltx-nano/training/sample.ts OUT.png [--lora FILE] [--seed N] [--steps N] ["a prompt" ...]
 */
import { parseArgs } from "node:util";
import { setNumThreads } from "@ltx-trainer/torch";
import { contactSheet, writePng } from "./example/contact-sheet.ts";
import { Studio } from "./studio.ts";

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
    steps: { type: "string" },
    guidance: { type: "string" },
    threads: { type: "string", default: "2" },
    lora: { type: "string" },
    width: { type: "string", default: "64" },
    height: { type: "string", default: "64" },
    frames: { type: "string", default: "25" },
  },
});

const [out = "samples.png", ...asked] = positionals;
setNumThreads(Number(options.threads));
const studio = new Studio(options.lora);
const format = {
  width: Number(options.width),
  height: Number(options.height),
  frames: Number(options.frames),
  fps: 25,
};
const prompts = asked.length > 0 ? asked : examples;
const clips = prompts.map((prompt, index) =>
  studio.sample(prompt, {
    format,
    seed: Number(options.seed) + index,
    steps: options.steps === undefined ? undefined : Number(options.steps),
    guidance: options.guidance === undefined ? undefined : Number(options.guidance),
  }),
);
await writePng(out, contactSheet(clips, 9));
process.stdout.write(`${prompts.join("\n")}\n${out}\n`);
