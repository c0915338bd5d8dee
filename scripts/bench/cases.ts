/**
 * Our side of the benchmarks: the product's code with the shapes that the C++ side uses.
 */
import {
  buildRope,
  gridOf,
  injectLora,
  LoraAdapter,
  ltxvCompression,
  Transformer,
  type TransformerConfig,
} from "@ltx-trainer/ltx";
import {
  attention,
  conv3d,
  Generator,
  keep,
  noGrad,
  Parameters,
  randn,
  scope,
  type Tensor,
  zeros,
} from "@ltx-trainer/torch";
import { type Plan, TrainingStep } from "@ltx-trainer/trainer";
import { TransformerBlock } from "../../packages/ltx/src/ltxv/transformer/block.ts";

/** The shapes of ltx-nano at its medium square size; the C++ side repeats them. */
const shapes = {
  layers: 6,
  heads: 4,
  headWidth: 48,
  channels: 32,
  caption: 96,
  F: 11,
  H: 5,
  W: 5,
  rank: 32,
};
export const textLength = 64;

const width = shapes.heads * shapes.headWidth;
const tokens = shapes.F * shapes.H * shapes.W;
const config = {
  numLayers: shapes.layers,
  numAttentionHeads: shapes.heads,
  attentionHeadDim: shapes.headWidth,
  inChannels: shapes.channels,
  outChannels: shapes.channels,
  captionChannels: shapes.caption,
  normEps: 1e-6,
  attentionBias: true,
  attentionOutBias: true,
} as TransformerConfig;
const generator = new Generator(1);
const normal = (...shape: number[]) => randn(shape, { generator });

/** What is repeated; `count` operations in one call, where a single one is too short for a clock. */
export type Body = { (): void; count?: number };

/** Makes the inputs of a case and returns what is to be repeated. */
export function prepare(name: string): Body {
  const size = /^gemm-(\d+)$/.exec(name)?.[1];
  if (size) return gemm(Number(size));
  const maker = makers[name];
  if (!maker) throw new Error(`no benchmark named ${name}`);
  return maker();
}

const makers: Readonly<Record<string, () => Body>> = {
  add,
  elementwise,
  attention: attend,
  conv3d: convolve,
  block,
  step: trainingStep,
};

/** As everywhere in the product, inside a scope: made, tracked, freed at its end. */
function add(): Body {
  const [a, b] = [normal(4), normal(4)];
  const count = 1000;
  const body = () =>
    scope(() => {
      for (let i = 0; i < count; i++) a.add(b);
    });
  return Object.assign(body, { count });
}

/** Two new tensors of 42 MB a time, more than glibc ever keeps: what the allocator that keeps blocks is for. */
function elementwise(): Body {
  const x = normal(10_500_000);
  return () => scope(() => void x.add(1).mul(x));
}

function gemm(size: number): Body {
  const [a, b] = [normal(size, size), normal(size, size)];
  return () => a.matmul(b).free();
}

function attend(): Body {
  const q = normal(1, shapes.heads, tokens, shapes.headWidth);
  return () => scope(() => void attention(q, q, q));
}

function convolve(): Body {
  const [x, weight, bias] = [normal(1, 64, 11, 20, 20), normal(64, 64, 3, 3, 3), normal(64)];
  return () => noGrad(() => scope(() => void conv3d(x, weight, bias, { padding: [0, 1, 1] })));
}

/** One block with LoRA on both attentions, forward and backward. */
function block(): Body {
  const p = Parameters.random({ generator });
  const one = new TransformerBlock(p, config);
  const adapters: Tensor[] = [];
  for (const linear of [...p.linears.values()].filter((layer) => layer.outFeatures === layer.inFeatures)) {
    const [a, b] = [normal(shapes.rank, width), normal(width, shapes.rank)].map((each) =>
      keep(each.mul(0.02)),
    );
    const pair = { a_RD: (a as Tensor).requiresGrad_(), b_DR: (b as Tensor).requiresGrad_() };
    adapters.push(pair.a_RD, pair.b_DR);
    linear.adapter = new LoraAdapter(pair, shapes.rank);
  }
  const x = normal(1, tokens, width);
  const inputs = {
    text_BLD: normal(1, textLength, width),
    textBias_B11L: zeros([1, 1, 1, textLength]),
    modulation_BG6D: normal(1, 1, 6, width).mul(0.02),
    rope: buildRope({
      width,
      grid: gridOf(shapes, ltxvCompression),
      frameRate: 25,
      timeRule: "causal",
      device: "cpu",
    }),
  };
  return () => scope(() => one.forward(x, inputs).sum().backward());
}

/** The trainer's own step, from noisy tokens to updated weights. */
export function trainingStep(): Body {
  const transformer = new Transformer(Parameters.random({ generator }), config);
  const lora = injectLora(transformer, { rank: shapes.rank, generator });
  const plan = {
    steps: 1_000_000,
    seed: 1,
    optimizer: { learningRate: 2e-4, finalLearningRateFactor: 0.1, weightDecay: 0.01, maxGradNorm: 1 },
    objective: { causalTime: true, checkpointBlocks: false },
  } as Plan;
  const step = new TrainingStep(transformer, lora, { samples: [{} as never], embeddings: new Map() }, plan);
  const noised = {
    tokens_BSC: normal(1, tokens, shapes.channels),
    velocity_BTC: normal(1, tokens, shapes.channels),
    timestep_BG: zeros([1, 1]).add(500),
    givenTokens: 0,
  };
  const conditions: {
    text_BLD: Tensor;
    textMask_BL: Tensor;
    grid: ReturnType<typeof gridOf>;
    frameRate: number;
  } = {
    text_BLD: normal(1, textLength, shapes.caption),
    textMask_BL: zeros([1, textLength], { dtype: "int64" }).add(1),
    grid: gridOf(shapes, ltxvCompression),
    frameRate: 25,
  };
  return () => void step.update(0, noised, conditions);
}
