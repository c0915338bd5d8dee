/**
 * Pre-trains the VAE of ltx-nano from scratch on drawn clips. Resumable: run the same command again.
 *
 * `phases` has the order of pictures and clips.
 *
 * Run: npx tsx --conditions=source models/ltx-nano/training/pretrain-vae.ts [--steps N] [--minutes N] [--threads N] [--out DIR]
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ConfigFields, parseVaeConfig, Vae } from "@ltx-trainer/ltx";
import {
  backward,
  clipGradNorm,
  Generator,
  noGrad,
  scope,
  setNumThreads,
  type Tensor,
  torchVersion,
} from "@ltx-trainer/torch";
import { type Clip, drawClip, type Window } from "./clips/draw.ts";
import { sampleOrnament } from "./clips/ornaments.ts";
import { type ClipFormat, sampleScene } from "./clips/scene.ts";
import { contactSheet, writePng } from "./example/contact-sheet.ts";
import { readWeights } from "./export.ts";
import { toClips, toPixels } from "./learning/batches.ts";
import { drawForVae, sampleFormat, streamOf, type WeightedFormat } from "./learning/curriculum.ts";
import { Muon } from "./learning/muon.ts";
import {
  breathe,
  Progress,
  progressLine,
  stopper,
  TrainingRun,
  warmConstantDecay,
} from "./learning/training-run.ts";
import { calmStart, psnr, vaeLoss } from "./learning/vae-objective.ts";

const root = join(import.meta.dirname, "../../..");
const seed = 20_240;
const learningRate = 3e-3;
const linesEvery = 10;
const evaluateEvery = 100;

/**
 * First many small clips, then all sizes: what matters early is how many different colours and edges a batch holds, and a
 * cell of a small clip teaches as much as one of a large one. Later the inside of larger clips counts: every cell of a
 * 32 x 32 clip lies at a border.
 */
const phases: readonly { readonly untilShare: number; readonly formats: readonly WeightedFormat[] }[] = [
  {
    untilShare: 0.4,
    formats: [
      { width: 32, height: 32, frames: 1, weight: 1 },
      { width: 24, height: 24, frames: 9, weight: 2 },
      { width: 32, height: 32, frames: 9, weight: 3 },
      { width: 32, height: 32, frames: 17, weight: 2 },
    ],
  },
  {
    untilShare: 1,
    formats: [
      { width: 48, height: 48, frames: 1, weight: 1 },
      { width: 32, height: 32, frames: 9, weight: 2 },
      { width: 32, height: 32, frames: 17, weight: 3 },
      { width: 48, height: 48, frames: 9, weight: 2 },
      { width: 48, height: 48, frames: 17, weight: 2 },
      { width: 64, height: 40, frames: 17, weight: 1 },
      { width: 40, height: 64, frames: 17, weight: 1 },
      { width: 64, height: 64, frames: 9, weight: 1 },
      { width: 64, height: 64, frames: 25, weight: 1 },
      { width: 80, height: 80, frames: 9, weight: 0.5 },
    ],
  },
];
/** A batch is filled until it has about this many latent cells, with two clips at least. */
const cellsPerBatch = 512;

const { values: options } = parseArgs({
  options: {
    steps: { type: "string", default: "6000" },
    minutes: { type: "string", default: "600" },
    threads: { type: "string", default: "1" },
    lr: { type: "string", default: String(learningRate) },
    decay: { type: "string", default: "0.3" },
    out: { type: "string", default: join(root, "out/nano/vae") },
    "decoder-only": { type: "boolean", default: false },
  },
});
const steps = Number(options.steps);

function drawBatch(step: number): Tensor {
  const random = streamOf(seed, "vae", step);
  const phase = options["decoder-only"]
    ? phases.at(-1)
    : phases.find(({ untilShare }) => step < untilShare * steps);
  const format = sampleFormat(random, phase!.formats);
  const cells = ((format.frames - 1) / 8 + 1) * (format.height / 8) * (format.width / 8);
  const size = Math.max(2, Math.round(cellsPerBatch / cells));
  return toPixels(Array.from({ length: size }, () => drawForVae(random, format)));
}

const lookedAt: readonly { readonly name: string; readonly format: ClipFormat; readonly window: Window }[] = [
  {
    name: "slow",
    format: { width: 64, height: 64, frames: 81, fps: 25 },
    window: { start: 30, frames: 25 },
  },
  {
    name: "fast",
    format: { width: 64, height: 64, frames: 25, fps: 25 },
    window: { start: 0, frames: 25 },
  },
];
const kinds = ["plain", "ornamented"] as const;

/** Mean PSNR of unseen clips, and a picture: originals above their reconstructions. */
async function evaluate(vae: Vae, step: number, folder: string): Promise<Record<string, number>> {
  const rows: Clip[] = [];
  const ratios: Record<string, number> = {};
  for (const kind of kinds) {
    for (const { name, format, window } of lookedAt) {
      const each = Array.from({ length: 8 }, (_, index) => {
        const random = streamOf(seed, "held out", index);
        const effect = kind === "plain" ? undefined : sampleOrnament(random);
        const clip = drawClip(sampleScene(random, format), format, effect, window);
        return reconstruct(vae, clip, index < 3 ? rows : []);
      });
      ratios[`${kind} ${name}`] = each.reduce((sum, value) => sum + value, 0) / each.length;
    }
  }
  await writePng(join(folder, `reconstruction-${String(step).padStart(6, "0")}.png`), contactSheet(rows, 9));
  return ratios;
}

/** PSNR of one clip; the clip and what the VAE makes of it are added to `rows`. */
function reconstruct(vae: Vae, clip: Clip, rows: Clip[]): number {
  return noGrad(() =>
    scope(() => {
      const pixels_BCfhw = toPixels([clip]);
      const decoded_BCfhw = vae.decode(vae.encode(pixels_BCfhw).mean_BCFHW);
      rows.push(clip, ...toClips(decoded_BCfhw, clip.format));
      return psnr(decoded_BCfhw, pixels_BCfhw)[0]!;
    }),
  );
}

/** The parameters that learn: all, or those of the decoder while the latents stay what they are. */
function learning(vae: Vae): ReadonlyMap<string, Tensor> {
  const trainable = new Map([...vae.parameters.all].filter(([, parameter]) => parameter.requiresGrad));
  if (!options["decoder-only"]) return trainable;
  return new Map([...trainable].filter(([name]) => name.startsWith("decoder.")));
}

async function main(): Promise<void> {
  setNumThreads(Number(options.threads));
  const config = parseVaeConfig(ConfigFields.fromFile(join(root, "models/ltx-nano/vae/config.json")));
  const generator = new Generator(seed);
  const vae = Vae.fresh(config, { generator });
  calmStart(vae, generator);
  if (options["decoder-only"])
    readWeights(vae.parameters, join(root, "models/ltx-nano/vae/diffusion_pytorch_model.safetensors"));
  const trainable = learning(vae);
  const optimizer = new Muon(trainable, { lr: learningRate, weightDecay: 0 });
  const run = new TrainingRun(options.out, { parameters: vae.parameters.all, optimizer, generator });
  const start = run.resume();
  const stop = stopper(Number(options.minutes));
  const progress = new Progress();
  process.stderr.write(`libtorch ${torchVersion()}, from step ${start} to ${steps}, in ${options.out}\n`);
  let step = start;
  for (; step < steps && !stop(); step++) {
    const decay = Number(options.decay) * steps;
    const lr = Number(options.lr) * warmConstantDecay(step, { warmup: 50, decay, steps });
    progress.add(trainStep(vae, step, generator, optimizer, trainable, lr));
    if ((step + 1) % linesEvery === 0) {
      const taken = progress.take();
      process.stderr.write(`${progressLine(step + 1, steps, lr, taken)}\n`);
      run.log({ step: step + 1, lr, ...taken.means, secondsPerStep: taken.secondsPerStep });
    }
    if ((step + 1) % evaluateEvery === 0) {
      const ratios = await evaluate(vae, step + 1, options.out);
      process.stderr.write(`${JSON.stringify(ratios)}\n`);
      run.log({ step: step + 1, ...ratios });
    }
    run.saveNowAndThen(step + 1);
    await breathe();
  }
  run.save(step);
  const ratios = await evaluate(vae, step, options.out);
  process.stderr.write(`stopped after step ${step}: ${JSON.stringify(ratios)}\n`);
}

function trainStep(
  vae: Vae,
  step: number,
  generator: Generator,
  optimizer: Muon,
  trainable: ReadonlyMap<string, Tensor>,
  lr: number,
): Record<string, number> {
  return scope(() => {
    const loss = vaeLoss(vae, drawBatch(step), generator, options["decoder-only"] ? "finished" : "fresh");
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
