/**
 * Pre-trains the VAE of ltx-nano from nothing on drawn clips. Resumable: start it again and it goes on.
 *
 * See `phases` for the order in which it sees pictures and clips.
 *
 * Run: npx tsx --conditions=source scripts/nano/pretrain-vae.ts [--steps N] [--minutes N] [--threads N] [--out DIR]
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ConfigFields, parseVaeConfig, Vae } from "@ltx-trainer/ltx";
import {
  AdamW,
  backward,
  clipGradNorm,
  Generator,
  noGrad,
  scope,
  setNumThreads,
  type Tensor,
  torchVersion,
} from "@ltx-trainer/torch";
import { toClips, toPixels } from "./batches.ts";
import { drawForVae, sampleFormat, streamOf, type WeightedFormat } from "./curriculum.ts";
import { contactSheet, writePng } from "./png.ts";
import type { ClipFormat } from "./scene.ts";
import { breathe, Progress, progressLine, stopper, TrainingRun, warmConstantDecay } from "./training-run.ts";
import { calmStart, psnr, vaeLoss } from "./vae-objective.ts";

const root = join(import.meta.dirname, "../..");
const seed = 20_240;
const learningRate = 3.5e-4;
const linesEvery = 25;
const evaluateEvery = 500;

/**
 * First many small pictures, then many small clips, then all sizes: what matters early is how many different colours
 * and edges a batch holds, and a cell of a small picture teaches as much as one of a large picture.
 */
const phases: readonly { readonly until: number; readonly formats: readonly WeightedFormat[] }[] = [
  { until: 1500, formats: [{ width: 32, height: 32, frames: 1, weight: 1 }] },
  {
    until: 4000,
    formats: [
      { width: 32, height: 32, frames: 1, weight: 1 },
      { width: 32, height: 32, frames: 9, weight: 3 },
      { width: 32, height: 32, frames: 17, weight: 1 },
    ],
  },
  {
    until: Number.POSITIVE_INFINITY,
    formats: [
      { width: 64, height: 64, frames: 1, weight: 1 },
      { width: 32, height: 32, frames: 9, weight: 2 },
      { width: 32, height: 32, frames: 17, weight: 2 },
      { width: 48, height: 48, frames: 9, weight: 3 },
      { width: 48, height: 48, frames: 17, weight: 2 },
      { width: 64, height: 64, frames: 9, weight: 2 },
      { width: 80, height: 48, frames: 9, weight: 1 },
      { width: 48, height: 80, frames: 9, weight: 1 },
      { width: 64, height: 64, frames: 17, weight: 1 },
      { width: 112, height: 64, frames: 9, weight: 0.5 },
      { width: 64, height: 112, frames: 9, weight: 0.5 },
      { width: 48, height: 48, frames: 33, weight: 0.5 },
    ],
  },
];
/** A batch is filled until it has about this many latent cells, with two clips at least. */
const cellsPerBatch = 64;

const { values: options } = parseArgs({
  options: {
    steps: { type: "string", default: "6000" },
    minutes: { type: "string", default: "600" },
    threads: { type: "string", default: "1" },
    out: { type: "string", default: join(root, "out/nano/vae") },
  },
});
const steps = Number(options.steps);

function drawBatch(step: number): Tensor {
  const random = streamOf(seed, "vae", step);
  const format = sampleFormat(random, phases.find(({ until }) => step < until)!.formats);
  const cells = ((format.frames - 1) / 8 + 1) * (format.height / 16) * (format.width / 16);
  const size = Math.max(2, Math.round(cellsPerBatch / cells));
  return toPixels(Array.from({ length: size }, () => drawForVae(random, format)));
}

/** Mean PSNR of unseen clips, and a picture: originals above their reconstructions. */
function evaluate(vae: Vae, step: number, folder: string): Record<string, number> {
  const formats: readonly ClipFormat[] = [
    { width: 64, height: 64, frames: 17, fps: 25 },
    { width: 80, height: 48, frames: 9, fps: 15 },
  ];
  return scope(() =>
    noGrad(() => {
      const rows = [];
      const ratios: Record<string, number> = {};
      for (const [index, format] of formats.entries()) {
        const random = streamOf(seed, "held out", index);
        const clips = Array.from({ length: 8 }, () => drawForVae(random, format));
        const pixels_BCfhw = toPixels(clips);
        const decoded_BCfhw = vae.decode(vae.encode(pixels_BCfhw).mean_BCFHW);
        const each = psnr(decoded_BCfhw, pixels_BCfhw);
        ratios[`psnr${format.frames}`] = each.reduce((sum, value) => sum + value, 0) / each.length;
        for (const [row, decoded] of toClips(decoded_BCfhw, format).entries())
          rows.push(clips[row]!, decoded);
      }
      writePng(join(folder, `reconstruction-${String(step).padStart(6, "0")}.png`), contactSheet(rows, 9));
      return ratios;
    }),
  );
}

async function main(): Promise<void> {
  setNumThreads(Number(options.threads));
  const config = parseVaeConfig(ConfigFields.fromFile(join(root, "models/ltx-nano/vae/config.json")));
  const generator = new Generator(seed);
  const vae = Vae.fresh(config, { generator });
  calmStart(vae, generator);
  const trainable = new Map([...vae.parameters.all].filter(([, parameter]) => parameter.requiresGrad));
  const optimizer = new AdamW(trainable, { lr: learningRate, betas: [0.9, 0.99], weightDecay: 0 });
  const run = new TrainingRun(options.out, { parameters: trainable, optimizer, generator });
  const start = run.resume();
  const stop = stopper(Number(options.minutes));
  const progress = new Progress();
  process.stderr.write(`libtorch ${torchVersion()}, from step ${start} to ${steps}, in ${options.out}\n`);
  let step = start;
  for (; step < steps && !stop(); step++) {
    const lr = learningRate * warmConstantDecay(step, { warmup: 50, decay: 0.25 * steps, steps });
    progress.add(trainStep(vae, step, generator, optimizer, trainable, lr));
    if ((step + 1) % linesEvery === 0) {
      const taken = progress.take();
      process.stderr.write(`${progressLine(step + 1, steps, lr, taken)}\n`);
      run.log({ step: step + 1, lr, ...taken.means, secondsPerStep: taken.secondsPerStep });
    }
    if ((step + 1) % evaluateEvery === 0) {
      const ratios = evaluate(vae, step + 1, options.out);
      process.stderr.write(`${JSON.stringify(ratios)}\n`);
      run.log({ step: step + 1, ...ratios });
    }
    run.saveNowAndThen(step + 1);
    await breathe();
  }
  run.save(step);
  process.stderr.write(`stopped after step ${step}: ${JSON.stringify(evaluate(vae, step, options.out))}\n`);
}

function trainStep(
  vae: Vae,
  step: number,
  generator: Generator,
  optimizer: AdamW,
  trainable: ReadonlyMap<string, Tensor>,
  lr: number,
): Record<string, number> {
  return scope(() => {
    const loss = vaeLoss(vae, drawBatch(step), generator);
    backward([loss.total]);
    const norm = clipGradNorm(trainable.values(), 1);
    optimizer.step(lr);
    optimizer.zeroGrad();
    return {
      l1: loss.absolute.item(),
      mse: loss.square.item(),
      divergence: loss.divergence.item(),
      norm,
    };
  });
}

await main();
