/**
 * Pre-trains the transformer and the text encoder of ltx-nano together, from nothing, on drawn clips and their captions.
 * Needs the finished VAE in the model folder. Resumable: start it again and it goes on.
 *
 * The objective is the trainer's own: shifted-logit-normal noise levels, velocity prediction, some clips with a clean
 * first frame. A tenth of the captions is empty, so that guidance has an unconditional prediction to push away from.
 *
 * Run: npx tsx --conditions=source scripts/nano/pretrain-transformer.ts [--steps N] [--minutes N] [--threads N] [--out DIR]
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  type BaseModel,
  latentGrid,
  openBase,
  T5Encoder,
  type T5Tokenizer,
  Transformer,
} from "@ltx-trainer/ltx";
import {
  AdamW,
  backward,
  clipGradNorm,
  Generator,
  Parameters,
  randn,
  scope,
  setNumThreads,
  type Tensor,
  torchVersion,
} from "@ltx-trainer/torch";
import {
  addNoise,
  drawSigmas,
  sigmaShift,
  velocityLoss,
} from "../../packages/trainer/src/train/objective.ts";
import { describeScene, withDistraction } from "./captions.ts";
import { streamOf, type WeightedFormat } from "./curriculum.ts";
import { exportWeights } from "./export.ts";
import { LatentPool, pickBatch } from "./latent-pool.ts";
import type { Random } from "./random.ts";
import type { Scene } from "./scene.ts";
import { encodeCaptions } from "./text-batch.ts";
import { breathe, Progress, progressLine, stopper, TrainingRun, warmConstantDecay } from "./training-run.ts";

const root = join(import.meta.dirname, "../..");
const modelFolder = join(root, "models/ltx-nano");
const seed = 31_415;
const learningRate = 8e-4;
const emptyCaptions = 0.1;
const distractedCaptions = 0.15;
const firstFrameShare = 0.15;
const linesEvery = 25;
/** Tokens of one batch, about; clips of a batch have one size. */
const tokensPerBatch = 1024;

const formats: readonly WeightedFormat[] = [
  { width: 64, height: 64, frames: 1, weight: 0.5 },
  { width: 64, height: 64, frames: 9, weight: 1 },
  { width: 64, height: 64, frames: 17, weight: 1 },
  { width: 64, height: 64, frames: 25, weight: 4 },
  { width: 80, height: 48, frames: 25, weight: 2 },
  { width: 48, height: 80, frames: 25, weight: 2 },
  { width: 64, height: 64, frames: 49, weight: 1 },
  { width: 80, height: 80, frames: 25, weight: 1 },
  { width: 112, height: 64, frames: 25, weight: 0.7 },
  { width: 64, height: 112, frames: 25, weight: 0.7 },
  { width: 64, height: 64, frames: 81, weight: 0.7 },
  { width: 80, height: 80, frames: 81, weight: 0.3 },
];

const { values: options } = parseArgs({
  options: {
    steps: { type: "string", default: "5000" },
    minutes: { type: "string", default: "600" },
    threads: { type: "string", default: "1" },
    clips: { type: "string", default: "4000" },
    out: { type: "string", default: join(root, "out/nano/transformer") },
  },
});
const steps = Number(options.steps);

type Models = {
  readonly base: BaseModel;
  readonly tokenizer: T5Tokenizer;
  readonly encoder: T5Encoder;
  readonly transformer: Transformer;
  readonly trainable: ReadonlyMap<string, Tensor>;
};

function makeModels(generator: Generator): Models {
  const base = openBase(modelFolder);
  const encoder = new T5Encoder(Parameters.random({ generator, trainable: true }), base.t5Config);
  const transformer = new Transformer(
    Parameters.random({ generator, trainable: true }),
    base.transformerConfig,
  );
  const trainable = new Map([
    ...[...encoder.parameters.all].map(([name, tensor]) => [`text_encoder.${name}`, tensor] as const),
    ...[...transformer.parameters.all].map(([name, tensor]) => [`transformer.${name}`, tensor] as const),
  ]);
  return { base, tokenizer: base.loadTokenizer(), encoder, transformer, trainable };
}

function captionOf(scene: Scene, isImage: boolean, random: Random): string {
  if (random.chance(emptyCaptions)) return "";
  const caption = describeScene(scene, random, { image: isImage });
  return random.chance(distractedCaptions) ? withDistraction(caption, random) : caption;
}

/** Loss and gradients of one batch. */
function learn(models: Models, pool: LatentPool, step: number, generator: Generator): Record<string, number> {
  const random = streamOf(seed, "steps", step);
  const group = pool.pickGroup(random);
  const { frames, fps } = group.format;
  const grid = latentGrid(group.format, models.base.compression);
  const size = Math.max(2, Math.round(tokensPerBatch / grid.tokens));
  const { scenes, latents_BCFHW } = pickBatch(group, size, random);
  const captions = scenes.map((scene) => captionOf(scene, frames === 1, random));
  const sigma_B = drawSigmas(size, sigmaShift(grid.tokens, { clamp: true }), generator);
  const noised = addNoise(latents_BCFHW, randn(latents_BCFHW.shape, { generator }), sigma_B, {
    grid,
    keepFirstFrame: random.chance(firstFrameShare),
  });
  const text = encodeCaptions(models.tokenizer, models.encoder, captions, models.base.textLength);
  const predicted_BTC = models.transformer.forward({
    tokens_BTC: noised.tokens_BSC,
    text_BLD: text.text_BLD,
    textMask_BL: text.mask_BL,
    timestep_BT: noised.timestep_BG,
    grid,
    frameRate: fps,
    causalTime: models.base.causalTimeCoordinates,
  });
  const loss = velocityLoss(predicted_BTC, noised);
  backward([loss]);
  return { loss: loss.item() };
}

function trainStep(
  models: Models,
  pool: LatentPool,
  optimizer: AdamW,
  generator: Generator,
  step: number,
  lr: number,
) {
  return scope(() => {
    const learnt = learn(models, pool, step, generator);
    const norm = clipGradNorm(models.trainable.values(), 1);
    optimizer.step(lr);
    optimizer.zeroGrad();
    return { ...learnt, norm };
  });
}

function exportModels(models: Models): void {
  exportWeights(
    join(modelFolder, "transformer/diffusion_pytorch_model.safetensors"),
    models.transformer.parameters.all,
    "float16",
  );
  exportWeights(
    join(modelFolder, "text_encoder/model.safetensors"),
    models.encoder.parameters.all,
    "bfloat16",
  );
}

function fileHash(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function openPool(models: Models): LatentPool {
  const vae = models.base.loadVae({ dtype: "float32" });
  const count = Number(options.clips);
  const pool = LatentPool.open(vae, {
    seed,
    count,
    formats,
    file: join(options.out, "latents.safetensors"),
    tag: `${fileHash(join(modelFolder, "vae/diffusion_pytorch_model.safetensors"))} ${count}`,
    onProgress: (done) => {
      if (done % 400 === 0) process.stderr.write(`encoded ${done} of ${count} clips\n`);
    },
  });
  vae.parameters.free();
  return pool;
}

async function main(): Promise<void> {
  setNumThreads(Number(options.threads));
  const generator = new Generator(seed);
  const models = makeModels(generator);
  const pool = openPool(models);
  const optimizer = new AdamW(models.trainable, { lr: learningRate, betas: [0.9, 0.99], weightDecay: 0.01 });
  const run = new TrainingRun(options.out, { parameters: models.trainable, optimizer, generator });
  const start = run.resume();
  const stop = stopper(Number(options.minutes));
  const progress = new Progress();
  process.stderr.write(`libtorch ${torchVersion()}, from step ${start} to ${steps}, in ${options.out}\n`);
  let step = start;
  for (; step < steps && !stop(); step++) {
    const lr = learningRate * warmConstantDecay(step, { warmup: 150, decay: 0.3 * steps, steps });
    progress.add(trainStep(models, pool, optimizer, generator, step, lr));
    if ((step + 1) % linesEvery === 0) {
      const taken = progress.take();
      process.stderr.write(`${progressLine(step + 1, steps, lr, taken)}\n`);
      run.log({ step: step + 1, lr, ...taken.means, secondsPerStep: taken.secondsPerStep });
    }
    run.saveNowAndThen(step + 1);
    await breathe();
  }
  run.save(step);
  exportModels(models);
  process.stderr.write(`stopped after step ${step}; weights written to ${modelFolder}\n`);
}

await main();
