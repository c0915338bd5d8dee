/**
 * LoRA: a small trainable product B A added to the answer of frozen linear layers.
 *
 *     y = W x + b + (alpha / r) B (A x)        A: [r, in], B: [out, r], B starts at zero
 *
 * Shapes: R rank, D features in or out of a layer, x any leading axes.
 * Source: huggingface/peft@5d602fd, `tuners/lora/layer.py`; targets and ranks: Lightricks/LTX-Video-Trainer@31b1273,
 * `config.py`. Adapters are float32 by default even on a bfloat16 model, because bfloat16 weights lose small updates;
 * their product is computed in the model's type all the same, as bfloat16 autocast does it in that trainer.
 */
import {
  type DType,
  type Generator,
  keep,
  type LinearLayer,
  linear,
  noGrad,
  rand,
  scope,
  type Tensor,
  zeros,
} from "@ltx-trainer/torch";
import type { KeyNames, VideoTransformer } from "../family.ts";

/** The pair of matrices of one layer. */
export class LoraAdapter {
  readonly a_RD: Tensor;
  readonly b_DR: Tensor;
  readonly alpha: number;
  /** What B (A x) is multiplied by. */
  readonly scale: number;

  constructor(pair: { a_RD: Tensor; b_DR: Tensor }, alpha: number, scale = alpha / pair.a_RD.size(0)) {
    this.a_RD = pair.a_RD;
    this.b_DR = pair.b_DR;
    this.alpha = alpha;
    this.scale = scale;
  }

  get rank(): number {
    return this.a_RD.size(0);
  }

  /**
   * What is added to the layer's output, computed in the input's type: the matrices are cast to it, and their gradients
   * come back through the cast in the type the matrices have.
   *
   * On a bfloat16 model that keeps a LoRA in float32 at the speed and memory of one in bfloat16: no float32 copy of `x`
   * is made or kept for the backward pass, and no float32 product is taken.
   */
  forward(x_xD: Tensor): Tensor {
    const { dtype } = x_xD;
    const projected = linear(linear(x_xD, this.a_RD.to(dtype)), this.b_DR.to(dtype));
    return this.scale === 1 ? projected : projected.mul(this.scale);
  }

  /** The change of the layer's weight, float32 `[out, in]`. */
  delta(): Tensor {
    return scope(() => this.b_DR.to("float32").matmul(this.a_RD.to("float32")).mul(this.scale));
  }
}

/** One adapted layer. */
export type LoraModule = { readonly linear: LinearLayer; readonly adapter: LoraAdapter };

/** A LoRA that sits on a transformer's layers. It owns its matrices: `remove()` takes it off and frees them. */
export class Lora {
  readonly rank: number;
  readonly alpha: number;
  readonly targets: readonly string[];
  /** By module path, for example `transformer_blocks.0.attn1.to_q`, in the order of the model. */
  readonly modules: ReadonlyMap<string, LoraModule>;
  readonly keyNames: KeyNames;
  #originals: Map<string, Tensor> | undefined;

  constructor(options: {
    rank: number;
    alpha: number;
    targets: readonly string[];
    modules: Map<string, LoraModule>;
    keyNames: KeyNames;
  }) {
    this.rank = options.rank;
    this.alpha = options.alpha;
    this.targets = options.targets;
    this.modules = options.modules;
    this.keyNames = options.keyNames;
    this.setEnabled(true);
  }

  /** The matrices by name (`<module>.lora_A.weight`, `<module>.lora_B.weight`): what an optimizer steps. */
  parameters(): Map<string, Tensor> {
    const found = new Map<string, Tensor>();
    for (const [path, { adapter }] of this.modules) {
      found.set(`${path}.lora_A.weight`, adapter.a_RD);
      found.set(`${path}.lora_B.weight`, adapter.b_DR);
    }
    return found;
  }

  /** Off, the model answers as if it had no LoRA, at no cost. */
  setEnabled(on: boolean): void {
    if (on && this.#originals !== undefined)
      throw new Error("LoRA: it is merged into the weights. Unmerge it first");
    for (const { linear, adapter } of this.modules.values()) linear.adapter = on ? adapter : undefined;
  }

  /**
   * Adds the change to the weights themselves (sums in float32) and switches the adapters off.
   *
   * Keeps a copy of every changed weight, so that `unmerge()` restores it to the bit.
   */
  merge(): void {
    if (this.#originals !== undefined) return;
    const originals = new Map<string, Tensor>();
    noGrad(() => {
      for (const [path, { linear, adapter }] of this.modules) {
        originals.set(path, keep(linear.weight.clone()));
        scope(() => {
          linear.weight.copy_(linear.weight.to("float32").add(adapter.delta()));
        });
      }
    });
    this.setEnabled(false);
    this.#originals = originals;
  }

  /** Puts the original weights back and switches the adapters on. Does nothing when not merged. */
  unmerge(): void {
    if (this.#originals === undefined) return;
    for (const [path, original] of this.#originals) {
      const { linear } = this.modules.get(path)!;
      noGrad(() => linear.weight.copy_(original));
      original.free();
    }
    this.#originals = undefined;
    this.setEnabled(true);
  }

  /** Takes the LoRA off the model and frees its matrices. */
  remove(): void {
    this.unmerge();
    this.setEnabled(false);
    for (const tensor of this.parameters().values()) tensor.free();
  }
}

/**
 * Puts fresh, trainable adapters on every layer whose path ends in one of `targets`.
 *
 * A is uniform in +-1/sqrt(in), B is zero, drawn in the model's order from `generator` on its own device, so the
 * same seed gives the same LoRA on every machine.
 *
 * @param options.alpha default `rank`; other values are folded into B on export, because no loader sees alpha
 * @throws RangeError when no layer matches a target
 */
export function injectLora(
  transformer: VideoTransformer,
  options: { rank: number; alpha?: number; targets?: readonly string[]; generator: Generator; dtype?: DType },
): Lora {
  const { rank, alpha = rank, targets = transformer.loraTargets, generator, dtype = "float32" } = options;
  if (!Number.isInteger(rank) || rank < 1)
    throw new RangeError(`rank: got ${rank}, expected a whole number from 1`);
  const modules = new Map<string, LoraModule>();
  for (const [path, linear] of matchTargets(transformer, targets)) {
    const pair = noGrad(() => keep(scope(() => freshPair(linear, rank, dtype, generator))));
    pair.a_RD.requiresGrad_();
    pair.b_DR.requiresGrad_();
    modules.set(path, { linear, adapter: new LoraAdapter(pair, alpha) });
  }
  return new Lora({ rank, alpha, targets, modules, keyNames: transformer.keyNames });
}

function freshPair(
  linear: LinearLayer,
  rank: number,
  dtype: DType,
  generator: Generator,
): { a_RD: Tensor; b_DR: Tensor } {
  const [out, inFeatures] = linear.weight.shape as readonly [number, number];
  const { device } = linear.weight;
  const bound = 1 / Math.sqrt(inFeatures); // kaiming_uniform with a = sqrt(5)
  const uniform = rand([rank, inFeatures], { generator });
  return {
    a_RD: uniform
      .mul(2 * bound)
      .sub(bound)
      .to({ dtype, device }),
    b_DR: zeros([out, rank], { dtype, device }),
  };
}

function matchTargets(transformer: VideoTransformer, targets: readonly string[]): [string, LinearLayer][] {
  const matches = [...transformer.parameters.linears].filter(([path]) => {
    return targets.some((target) => path === target || path.endsWith(`.${target}`));
  });
  const missed = targets.filter(
    (target) => !matches.some(([path]) => path === target || path.endsWith(`.${target}`)),
  );
  if (missed.length > 0 || matches.length === 0) {
    throw new RangeError(
      `LoRA targets: got ${missed.join(", ") || "none"}, expected endings of the model's layers`,
    );
  }
  const taken = matches.find(([, linear]) => linear.adapter !== undefined);
  if (taken) throw new Error(`LoRA: ${taken[0]} already has an adapter. Remove the other LoRA first`);
  return matches;
}
