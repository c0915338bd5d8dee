/**
 * Pre-trains the transformer and the text encoder of ltx-nano together, from scratch, on drawn clips and their captions.
 * Needs the finished VAE in the model folder. Resumable: run the same command again.
 *
 * The objective is the trainer's own: shifted-logit-normal noise levels, velocity prediction, some clips with a clean
 * first frame. A tenth of the captions is empty, which trains the unconditional prediction that guidance needs.
 *
 * Run: npx tsx --conditions=source models/ltx-nano/training/pretrain-transformer.ts [--steps N] [--minutes N] [--ranks N] [--threads N] [--out DIR]
 * [--warm [--large] [--learning-rate N]]: starts from the weights in the model folder; --large uses large clips only, as the last phase.
 * Two ranks with one thread each (the default) are faster than one rank with two threads: see `ranks.ts`.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  type LtxvBase,
  latentGrid,
  openLtxvBase,
  T5Encoder,
  type T5Tokenizer,
  Transformer,
  transformerWidth,
} from "@ltx-trainer/ltx";
import {
  backward,
  clipGradNorm,
  Generator,
  keep,
  Parameters,
  randn,
  scope,
  setNumThreads,
  setProductAttention,
  type Tensor,
  torchVersion,
} from "@ltx-trainer/torch";
import { addNoise, drawSigmas, type Noised, sigmaShift, velocityLoss } from "@ltx-trainer/trainer";
import type { Random } from "./clips/random.ts";
import { exportWeights, readWeights } from "./export.ts";
import { type Shown, streamOf, type WeightedFormat } from "./learning/curriculum.ts";
import { LabelHead } from "./learning/label-head.ts";
import { LatentPool, pickBatch } from "./learning/latent-pool.ts";
import { MasterWeights } from "./learning/master-weights.ts";
import { Muon } from "./learning/muon.ts";
import {
  breathe,
  Progress,
  progressLine,
  stopper,
  TrainingRun,
  warmConstantDecay,
} from "./learning/training-run.ts";
import { Ranks } from "./ranks/ranks.ts";
import { describeScene, withStyle } from "./text/captions.ts";
import { labelTokens, objectShares } from "./text/scene-labels.ts";
import { encodeCaptions } from "./text/text-batch.ts";

const root = join(import.meta.dirname, "../../..");
const modelFolder = join(root, "models/ltx-nano");
const transformerFile = "transformer/diffusion_pytorch_model.safetensors";
const encoderFile = "text_encoder/model.safetensors";
const seed = 31_415;
const emptyCaptions = 0.1;
/** What people write there by habit, ours and the released model's defaults among it, says as little as nothing. */
const negativePrompts = [
  "blurry, low quality, bad quality, out of focus",
  "worst quality, inconsistent motion, blurry, jittery, distorted",
  "low quality, worst quality, deformed, distorted",
] as const;
const firstFrameShare = 0.15;
/**
 * Share of the batches drawn at high noise, and the mean of the logit of sigma there. What is where, and that it is one
 * thing, is decided above sigma 0.85; the trainer's own noise levels, meant for models that know this, rarely go there.
 */
const noisyShare = 0.6;
const noisyShift = 1.9;
/** Whose output the extra head reads, from 0, and what its error weighs beside the velocity's. */
const labelledBlock = 2;
const labelWeight = 1;
/**
 * What the error inside objects weighs besides: they are a seventh of the picture, and what is hard to learn is there. Only
 * below this noise level, where it can be seen where they are: above it the model would learn to see too many.
 */
const objectWeight = 2;
const objectsShowBelow = 0.85;
const linesEvery = 25;
/** So that a run can be looked at while it goes on. */
const exportEvery = 500;
/** Tokens of one batch, about; clips of a batch have one size. */
const tokensPerBatch = 2048;

/** Pictures, by size: the sizes of the clips. */
const pictureFormats: readonly WeightedFormat[] = [
  { width: 48, height: 48, frames: 1, weight: 3 },
  { width: 64, height: 40, frames: 1, weight: 2 },
  { width: 40, height: 64, frames: 1, weight: 2 },
  { width: 64, height: 64, frames: 1, weight: 2 },
  { width: 80, height: 48, frames: 1, weight: 1 },
  { width: 48, height: 80, frames: 1, weight: 1 },
  { width: 80, height: 80, frames: 1, weight: 0.7 },
  { width: 112, height: 64, frames: 1, weight: 0.8 },
  { width: 64, height: 112, frames: 1, weight: 0.8 },
];

/** Clips. Weights are shares of the steps, and a step costs about the same at every size: large and long clips are few. */
const formats: readonly WeightedFormat[] = [
  { width: 48, height: 48, frames: 9, weight: 0.2 },
  { width: 48, height: 48, frames: 25, weight: 1.5 },
  { width: 64, height: 40, frames: 25, weight: 1 },
  { width: 40, height: 64, frames: 25, weight: 1 },
  { width: 64, height: 64, frames: 25, weight: 1 },
  { width: 80, height: 48, frames: 25, weight: 0.5 },
  { width: 48, height: 80, frames: 25, weight: 0.5 },
  { width: 48, height: 48, frames: 49, weight: 0.4 },
  { width: 64, height: 40, frames: 49, weight: 0.3 },
  { width: 40, height: 64, frames: 49, weight: 0.3 },
  { width: 48, height: 48, frames: 81, weight: 1.5 },
  { width: 64, height: 40, frames: 81, weight: 1.2 },
  { width: 40, height: 64, frames: 81, weight: 1.2 },
  { width: 64, height: 64, frames: 81, weight: 1.6 },
  { width: 80, height: 48, frames: 81, weight: 1.2 },
  { width: 48, height: 80, frames: 81, weight: 1.2 },
  { width: 80, height: 80, frames: 81, weight: 1 },
  { width: 112, height: 64, frames: 81, weight: 1.1 },
  { width: 64, height: 112, frames: 81, weight: 1.1 },
];
/** With `--large`: the sizes that `formats` shows too seldom, beside some of the others. */
const largeFormats: readonly WeightedFormat[] = [
  { width: 112, height: 64, frames: 81, weight: 3 },
  { width: 64, height: 112, frames: 81, weight: 3 },
  { width: 80, height: 80, frames: 81, weight: 1.5 },
  { width: 80, height: 48, frames: 81, weight: 1 },
  { width: 48, height: 80, frames: 81, weight: 1 },
  { width: 64, height: 64, frames: 81, weight: 1 },
  { width: 48, height: 48, frames: 81, weight: 1 },
  { width: 64, height: 40, frames: 81, weight: 0.5 },
  { width: 40, height: 64, frames: 81, weight: 0.5 },
];
/**
 * First pictures, then short clips, then all lengths: a batch of pictures holds ten times as many scenes as one of clips, and
 * what is learnt of shapes and colours holds for the first latent frame of every clip, which is encoded as a picture is.
 * A warm start has all of that behind it.
 */
const stages = [
  { untilShare: 0.25, pictures: 1, mostFrames: 1 },
  { untilShare: 0.4, pictures: 0.25, mostFrames: 25 },
  { untilShare: 1, pictures: 0.15, mostFrames: Number.POSITIVE_INFINITY },
] as const;

const { values: options } = parseArgs({
  options: {
    ranks: { type: "string", default: "2" },
    steps: { type: "string", default: "5000" },
    minutes: { type: "string", default: "600" },
    threads: { type: "string", default: "1" },
    clips: { type: "string", default: "7000" },
    pictures: { type: "string", default: "40000" },
    warm: { type: "boolean", default: false },
    large: { type: "boolean", default: false },
    "learning-rate": { type: "string", default: "3e-3" },
    out: { type: "string", default: join(root, "out/nano/transformer") },
  },
});
const steps = Number(options.steps);
const learningRate = Number(options["learning-rate"]);

type Models = {
  readonly base: LtxvBase;
  readonly tokenizer: T5Tokenizer;
  readonly encoder: T5Encoder;
  readonly transformer: Transformer;
  /** Full-precision weights of everything that learns. */
  readonly trainable: ReadonlyMap<string, Tensor>;
  readonly master: MasterWeights;
  readonly labels: LabelHead;
};

function makeModels(generator: Generator): Models {
  const base = openLtxvBase(modelFolder);
  const encoder = new T5Encoder(Parameters.random({ generator, trainable: true }), base.t5Config);
  const transformer = new Transformer(
    Parameters.random({ generator, trainable: true, dtype: "bfloat16" }),
    base.transformerConfig,
  );
  if (options.warm) {
    readWeights(transformer.parameters, join(modelFolder, transformerFile));
    readWeights(encoder.parameters, join(modelFolder, encoderFile));
  }
  const master = new MasterWeights(transformer.parameters.all);
  const labels = new LabelHead(transformerWidth(base.transformerConfig), generator);
  const trainable = new Map([
    ...[...encoder.parameters.all].map(([name, tensor]) => [`text_encoder.${name}`, tensor] as const),
    ...[...master.all].map(([name, tensor]) => [`transformer.${name}`, tensor] as const),
    ...[...labels.parameters.all].map(([name, tensor]) => [`labels.${name}`, tensor] as const),
  ]);
  return { base, tokenizer: base.loadTokenizer(), encoder, transformer, trainable, master, labels };
}

function captionOf({ scene, style }: Shown, isImage: boolean, random: Random): string {
  if (random.chance(emptyCaptions)) return random.chance(0.5) ? "" : random.pick(negativePrompts);
  const caption = describeScene(scene, random, { image: isImage });
  return style === undefined ? caption : withStyle(caption, style.name, random);
}

/** Loss and gradients of one batch; every rank has its own. */
function learn(models: Models, pools: Pools, step: number, ranks: Ranks): Record<string, number> {
  const share = options.warm ? 1 : step / steps;
  const stage = stages.findLast((_, index) => index === 0 || share >= stages[index - 1]!.untilShare)!;
  return scope(() => learnFrom(models, pools, stage, step * ranks.count + ranks.rank));
}

function learnFrom(
  models: Models,
  pools: Pools,
  stage: (typeof stages)[number],
  draw: number,
): Record<string, number> {
  const random = streamOf(seed, "steps", draw);
  const generator = new Generator(seed + draw);
  const group = random.chance(stage.pictures)
    ? pools.pictures.pickGroup(random, 1)
    : pools.clips.pickGroup(random, stage.mostFrames);
  const { frames, fps } = group.format;
  const grid = latentGrid(group.format, models.base.compression);
  const size = Math.max(2, Math.round(tokensPerBatch / grid.tokens));
  const { shown, latents_BCFHW } = pickBatch(group, size, random);
  const captions = shown.map((each) => captionOf(each, frames === 1, random));
  const shift = random.chance(noisyShare) ? noisyShift : sigmaShift(grid.tokens, { clamp: true });
  const sigma_B = drawSigmas(size, shift, generator);
  const noised = addNoise(latents_BCFHW, randn(latents_BCFHW.shape, { generator }), sigma_B, {
    grid,
    keepFirstFrame: random.chance(firstFrameShare),
  });
  const text = encodeCaptions(models.tokenizer, models.encoder, captions, models.base.defaults.textLength);
  const scenes = shown.map(({ scene }) => scene);
  const truth = labelTokens(scenes, group.format, grid);
  let labelLoss: Tensor | undefined;
  const predicted_BTC = models.transformer.forward({
    tokens_BTC: noised.tokens_BSC,
    text_BLD: text.text_BLD,
    textMask_BL: text.mask_BL,
    timestep_BT: noised.timestep_BG,
    grid,
    frameRate: fps,
    causalTime: models.base.defaults.causalTime,
    onBlock: (x_BTD, block) => {
      if (block === labelledBlock) labelLoss = keep(models.labels.loss(x_BTD, truth));
    },
  });
  const loss = velocityLoss(predicted_BTC, noised);
  const objects = objectLoss(predicted_BTC, noised, truth, sigma_B).mul(objectWeight);
  backward([loss.add(objects).add(labelLoss!.mul(labelWeight))]);
  models.master.takeGradients();
  const learnt = { loss: loss.item(), labels: labelLoss!.item() };
  labelLoss!.free();
  return learnt;
}

/** Mean squared error of the predicted tokens inside objects, of samples whose objects show. */
function objectLoss(predicted_BTC: Tensor, noised: Noised, truth: Tensor, sigma_B: Tensor): Tensor {
  const { givenTokens } = noised;
  const count = predicted_BTC.size(1) - givenTokens;
  const rest = (x: Tensor): Tensor => x.narrow(1, givenTokens, count);
  const shows_B11 = sigma_B.lt(objectsShowBelow).to("float32").reshape([-1, 1, 1]);
  const weight_BT1 = rest(objectShares(truth)).mul(shows_B11);
  const error_BTC = rest(predicted_BTC).to("float32").sub(rest(noised.velocity_BTC));
  return error_BTC.square().mul(weight_BT1).mean();
}

function update(models: Models, optimizer: Muon, lr: number): { norm: number } {
  return scope(() => {
    const norm = clipGradNorm(models.trainable.values(), 1);
    optimizer.step(lr);
    optimizer.zeroGrad();
    models.master.publish();
    return { norm };
  });
}

function exportModels(models: Models): void {
  exportWeights(join(modelFolder, transformerFile), models.master.all, "float16");
  exportWeights(join(modelFolder, encoderFile), models.encoder.parameters.all, "bfloat16");
}

function fileHash(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

type Pools = { readonly pictures: LatentPool; readonly clips: LatentPool };

function openPools(models: Models): Pools {
  const vae = models.base.loadVae({ dtype: "float32" });
  const hash = fileHash(join(modelFolder, "vae/diffusion_pytorch_model.safetensors"));
  const open = (
    stream: "transformer" | "images",
    count: number,
    kinds: readonly WeightedFormat[],
  ): LatentPool =>
    LatentPool.open(vae, {
      seed,
      stream,
      count,
      formats: kinds,
      file: join(options.out, stream === "images" ? "pictures.safetensors" : "latents.safetensors"),
      tag: `${hash} ${count}`,
      onProgress: (done) => {
        if (done % 400 === 0) process.stderr.write(`encoded ${done} of ${count}\n`);
      },
    });
  const pools = {
    pictures: open("images", Number(options.pictures), pictureFormats),
    clips: open("transformer", Number(options.clips), options.large ? largeFormats : formats),
  };
  vae.parameters.free();
  return pools;
}

async function main(): Promise<void> {
  setProductAttention(true);
  const ranks = Ranks.open(Number(options.ranks));
  const generator = new Generator(seed);
  const models = makeModels(generator);
  // The other ranks wait for rank 0 and read its latents.
  if (ranks.isFirst) setNumThreads(Number(options.threads) * ranks.count);
  else await ranks.meet(-1);
  const pools = openPools(models);
  if (ranks.isFirst) await ranks.meet(-1);
  setNumThreads(Number(options.threads));
  const isMatrix = (name: string): boolean => !/shared|relative_attention_bias|scale_shift_table/.test(name);
  const optimizer = new Muon(models.trainable, { lr: learningRate, weightDecay: 0.01 }, isMatrix);
  const run = new TrainingRun(options.out, { parameters: models.trainable, optimizer, generator });
  const start = run.resume();
  models.master.publish();
  const stop = ranks.isFirst ? stopper(Number(options.minutes)) : () => false;
  const progress = new Progress();
  if (ranks.isFirst)
    process.stderr.write(`libtorch ${torchVersion()}, from step ${start} to ${steps}, in ${options.out}\n`);
  let step = start;
  for (let isLast = false; step < steps && !isLast; step++) {
    const lr = learningRate * warmConstantDecay(step, { warmup: 150, decay: 0.4 * steps, steps });
    const learnt = learn(models, pools, step, ranks);
    await breathe();
    isLast = await ranks.average(models.trainable, step, stop());
    progress.add({ ...learnt, ...update(models, optimizer, lr) });
    if (ranks.isFirst) report(run, models, progress, step + 1, lr);
  }
  if (!ranks.isFirst) return ranks.leave();
  run.save(step);
  exportModels(models);
  process.stderr.write(`stopped after step ${step}; weights written to ${modelFolder}\n`);
}

/** A line, a checkpoint and the weights, each now and then. */
function report(run: TrainingRun, models: Models, progress: Progress, step: number, lr: number): void {
  if (step % linesEvery === 0) {
    const taken = progress.take();
    process.stderr.write(`${progressLine(step, steps, lr, taken)}\n`);
    run.log({ step, lr, ...taken.means, secondsPerStep: taken.secondsPerStep });
  }
  run.saveNowAndThen(step);
  if (step % exportEvery === 0) exportModels(models);
}

await main();
