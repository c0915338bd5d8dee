/**
 * One full-width transformer block with a LoRA on both attentions: its inputs, its step, and the arithmetic it needs.
 *
 * The step is what a training runs per block: forward, then the gradients of its input and of the LoRA. Weights and text
 * are frozen and get no gradient.
 *
 * Shapes: B batch, T video tokens, L text tokens, D width, R LoRA rank.
 */
import {
  attentionTargets,
  buildRope,
  type LatentGrid,
  LoraAdapter,
  latentGrid,
  ltxvCompression,
  type TransformerConfig,
} from "@ltx-trainer/ltx";
import {
  backward,
  type Device,
  type DType,
  Generator,
  keep,
  Parameters,
  randn,
  scope,
  type Tensor,
  tensor,
} from "@ltx-trainer/torch";
import { TransformerBlock } from "../../packages/ltx/src/ltxv/transformer/block.ts";
import { textBias } from "../../packages/ltx/src/ltxv/transformer/conditioning.ts";

export type Model = {
  readonly heads: number;
  readonly headWidth: number;
  readonly text: number;
  readonly rank: number;
};

/** The released widths, and one to try the program with. */
export const models: Readonly<Record<string, Model>> = {
  "2b": { heads: 32, headWidth: 64, text: 256, rank: 128 },
  "13b": { heads: 32, headWidth: 128, text: 256, rank: 128 },
  tiny: { heads: 2, headWidth: 32, text: 16, rank: 4 },
};

/** Real tokens of the text; the rest is padding behind a mask, as captions are. */
const captionTokens = 40;
const frameRate = 25;

/** The grid of a video written `<width>x<height>x<frames>`. @throws RangeError when it is written otherwise */
export function gridOfVideo(video: string): LatentGrid {
  const [, width, height, frames] = /^(\d+)x(\d+)x(\d+)$/.exec(video) ?? [];
  if (!frames) throw new RangeError(`video: got ${video}, expected <width>x<height>x<frames>`);
  return latentGrid(
    { width: Number(width), height: Number(height), frames: Number(frames) },
    ltxvCompression,
  );
}

/**
 * Floating-point operations of a step, two for each multiply-add of a matrix product; the rest is not counted, nor is
 * what a kernel computes a second time.
 *
 * Forward: projections and feed-forward 28 T D^2, the text's keys and values 4 L D^2, scores and mixing 4 T (T + L) D,
 * LoRA 4 R D for every token of each of its eight layers. Backward: the same again for the input's gradient (not for
 * the text, which is frozen), twice for attention, twice for the LoRA.
 */
export function flopsOf(model: Model, T: number): { readonly forward: number; readonly step: number } {
  const { text: L, rank: R } = model;
  const D = model.heads * model.headWidth;
  const projections = 28 * T * D ** 2;
  const textProjections = 4 * L * D ** 2;
  const attention = 4 * T * (T + L) * D;
  const lora = 4 * R * D * (6 * T + 2 * L);
  const unneededTextGradient = 2 * R * D * 2 * L;
  const forward = projections + textProjections + attention + lora;
  return { forward, step: forward + projections + 2 * attention + 2 * lora - unneededTextGradient };
}

export type Case = {
  /** Runs the block with its graph recorded, and drops both. */
  readonly forward: () => void;
  readonly step: () => void;
  /** Weights, inputs, and after a step outputs and gradients, by the names `block.py` reads. */
  readonly tensors: () => Map<string, Tensor>;
  readonly free: () => void;
};

/** Everything drawn on the device from one seed; nothing is left to the first step. */
export function makeCase(model: Model, grid: LatentGrid, place: { device: Device; dtype: DType }): Case {
  const { device, dtype } = place;
  const generator = new Generator(1, device);
  const width = model.heads * model.headWidth;
  const p = Parameters.random({ generator, dtype, device });
  const block = new TransformerBlock(p, configOf(model));
  const normal = (shape: number[], scale = 1) => randn(shape, { generator }).mul(scale).to(dtype);
  const given = keep(
    scope(() => ({
      x: normal([1, grid.tokens, width]),
      text: normal([1, model.text, width]),
      modulation: normal([1, 1, 6, width], 0.1),
      gradient: normal([1, grid.tokens, width], 1 / grid.tokens),
      bias: biasOf(model.text, dtype, device),
      ...buildRope({ width, grid, frameRate, timeRule: "causal", device }),
    })),
  );
  const adapters = adapt(p, model.rank, generator);
  const leaves = new Map<string, Tensor>([["x", given.x.requiresGrad_()], ...adapters]);
  const clear = () => {
    for (const leaf of leaves.values()) leaf.grad = undefined;
  };
  const run = () => block.forward(given.x, inputsOf(given));
  const step = () =>
    scope(() => {
      clear();
      const y = run();
      backward([y], [given.gradient]);
      return y;
    });
  return {
    forward: () => scope(() => void run()),
    step: () => step().free(),
    tensors: () => named(given, p, leaves, step()),
    free: () => {
      clear();
      for (const each of [...Object.values(given), ...adapters.values()]) each.free();
      p.free();
    },
  };
}

type Given = Readonly<
  Record<"x" | "text" | "modulation" | "gradient" | "bias" | "cos_BTD" | "sin_BTD", Tensor>
>;

function inputsOf({ text, bias, modulation, cos_BTD, sin_BTD }: Given) {
  return { text_BLD: text, textBias_B11L: bias, modulation_BG6D: modulation, rope: { cos_BTD, sin_BTD } };
}

function configOf({ heads, headWidth }: Model): TransformerConfig {
  return {
    numAttentionHeads: heads,
    attentionHeadDim: headWidth,
    normEps: 1e-6,
    attentionBias: true,
    attentionOutBias: true,
  } as TransformerConfig;
}

function biasOf(length: number, dtype: DType, device: Device): Tensor {
  const mask = Array.from({ length }, (_, i) => (i < Math.min(captionTokens, length - 1) ? 1 : 0));
  return textBias(tensor([mask], { dtype: "int64", device }), dtype);
}

/** float32 pairs on every attention projection, B random too, because a fresh B of zeros would hide mistakes. */
function adapt(p: Parameters, rank: number, generator: Generator): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const [path, linear] of p.linears) {
    if (!attentionTargets.some((target) => path.endsWith(`.${target}`))) continue;
    const matrix = (shape: number[]) =>
      keep(scope(() => randn(shape, { generator }).mul(0.02))).requiresGrad_();
    const pair = { a_RD: matrix([rank, linear.inFeatures]), b_DR: matrix([linear.outFeatures, rank]) };
    linear.adapter = new LoraAdapter(pair, rank);
    found.set(`${path}.lora_A.weight`, pair.a_RD).set(`${path}.lora_B.weight`, pair.b_DR);
  }
  return found;
}

function named(
  given: Given,
  p: Parameters,
  leaves: ReadonlyMap<string, Tensor>,
  y: Tensor,
): Map<string, Tensor> {
  const all = new Map<string, Tensor>([["out.y", y]]);
  for (const [name, each] of Object.entries(given)) all.set(`in.${name}`, each);
  for (const [name, each] of p.all) all.set(`weights.${name}`, each);
  for (const [name, leaf] of leaves) {
    if (name !== "x") all.set(`lora.${name}`, leaf);
    all.set(`grad.${name}`, leaf.grad as Tensor);
  }
  return all;
}
