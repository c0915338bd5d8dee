/**
 * The T5 v1.1 text encoder: token ids to one embedding per token.
 *
 * Pre-norm blocks of self-attention and gated GELU. Attention scores are not scaled, no layer has a bias, and
 * positions enter only through a bias table, which block 0 owns and all blocks use.
 *
 * Shapes: B batch, L text tokens, D width, N heads, K head width.
 * Source: huggingface/transformers@v4.52.2, `models/t5/modeling_t5.py` (T5Stack, T5Attention, T5LayerNorm).
 * Deliberate difference: GELU is one rounded operation instead of seven, which matters only in half precision.
 */
import {
  type Device,
  type DType,
  embedding,
  isHalf,
  Linear,
  type Parameters,
  scope,
  type Tensor,
} from "@ltx-trainer/torch";
import type { T5Config } from "./config.ts";
import { positionBias } from "./position-bias.ts";

/** Divides by the root mean square and multiplies by a weight. Like T5, rounds before the weight is applied. */
class T5Norm {
  readonly #weight_D: Tensor;
  readonly #eps: number;

  constructor(p: Parameters, size: number, eps: number) {
    this.#weight_D = p.tensor("weight", [size], "ones");
    this.#eps = eps;
  }

  forward(x_BLD: Tensor): Tensor {
    return scope(() => {
      const wide = isHalf(x_BLD.dtype) ? x_BLD.to("float32") : x_BLD;
      const normed = wide.mul(wide.square().mean(-1, true).add(this.#eps).rsqrt());
      return normed.to(this.#weight_D.dtype).mul(this.#weight_D);
    });
  }
}

class SelfAttention {
  readonly #config: T5Config;
  readonly #q: Linear;
  readonly #k: Linear;
  readonly #v: Linear;
  readonly #o: Linear;

  constructor(p: Parameters, config: T5Config) {
    const inner = config.numHeads * config.dKv;
    const linear = (name: string): Linear => new Linear(p.at(name), config.dModel, inner, { bias: false });
    this.#config = config;
    this.#q = linear("q");
    this.#k = linear("k");
    this.#v = linear("v");
    this.#o = new Linear(p.at("o"), inner, config.dModel, { bias: false });
  }

  forward(x_BLD: Tensor, bias_xNLL: Tensor): Tensor {
    return scope(() => {
      const { numHeads, dKv } = this.#config;
      const heads = (linear: Linear): Tensor =>
        linear.forward(x_BLD).unflatten(2, [numHeads, dKv]).transpose(1, 2);
      const scores_BNLL = heads(this.#q).matmul(heads(this.#k).transpose(2, 3)).add(bias_xNLL);
      const weights_BNLL = scores_BNLL.to("float32").softmax(-1).to(scores_BNLL.dtype);
      const out_BNLK = weights_BNLL.matmul(heads(this.#v));
      return this.#o.forward(out_BNLK.transpose(1, 2).flatten(2, 3));
    });
  }
}

/** One encoder block; the released names count attention as layer 0 and the feed-forward as layer 1. */
export class T5Block {
  readonly attentionNorm: T5Norm;
  readonly attention: SelfAttention;
  readonly #feedForwardNorm: T5Norm;
  readonly #gate: Linear;
  readonly #up: Linear;
  readonly #down: Linear;

  constructor(p: Parameters, config: T5Config) {
    const { dModel, dFf, layerNormEpsilon } = config;
    const attention = p.at("layer", 0);
    const feedForward = p.at("layer", 1);
    this.attentionNorm = new T5Norm(attention.at("layer_norm"), dModel, layerNormEpsilon);
    this.attention = new SelfAttention(attention.at("SelfAttention"), config);
    this.#feedForwardNorm = new T5Norm(feedForward.at("layer_norm"), dModel, layerNormEpsilon);
    this.#gate = new Linear(feedForward.at("DenseReluDense", "wi_0"), dModel, dFf, { bias: false });
    this.#up = new Linear(feedForward.at("DenseReluDense", "wi_1"), dModel, dFf, { bias: false });
    this.#down = new Linear(feedForward.at("DenseReluDense", "wo"), dFf, dModel, { bias: false });
  }

  forward(x_BLD: Tensor, bias_xNLL: Tensor): Tensor {
    return scope(() => this.feedForward(this.afterAttention(x_BLD, bias_xNLL)));
  }

  afterAttention(x_BLD: Tensor, bias_xNLL: Tensor): Tensor {
    return scope(() => x_BLD.add(this.attention.forward(this.attentionNorm.forward(x_BLD), bias_xNLL)));
  }

  feedForward(x_BLD: Tensor): Tensor {
    return scope(() => {
      const normed = this.#feedForwardNorm.forward(x_BLD);
      const hidden = this.#gate.forward(normed).gelu("tanh").mul(this.#up.forward(normed));
      return x_BLD.add(this.#down.forward(hidden));
    });
  }
}

export class T5Encoder {
  readonly config: T5Config;
  readonly parameters: Parameters;
  // Public, so that tests and debugging can run the encoder block by block.
  readonly blocks: readonly T5Block[];
  readonly #embedding: Tensor;
  readonly #biasTable_xN: Tensor;
  readonly #finalNorm: T5Norm;

  constructor(p: Parameters, config: T5Config) {
    const { vocabSize, dModel, numHeads, relativeAttentionNumBuckets } = config;
    this.config = config;
    this.parameters = p;
    // T5's own initialisation: embeddings with deviation 1 and small biases.
    this.#embedding = p.tensor("shared.weight", [vocabSize, dModel], { normal: 1 });
    const stack = p.at("encoder");
    const table = stack.at("block", 0, "layer", 0, "SelfAttention", "relative_attention_bias");
    this.#biasTable_xN = table.tensor("weight", [relativeAttentionNumBuckets, numHeads], {
      normal: dModel ** -0.5,
    });
    this.blocks = Array.from(
      { length: config.numLayers },
      (_, i) => new T5Block(stack.at("block", i), config),
    );
    this.#finalNorm = new T5Norm(stack.at("final_layer_norm"), dModel, config.layerNormEpsilon);
  }

  get dtype(): DType {
    return this.#embedding.dtype;
  }

  get device(): Device {
    return this.#embedding.device;
  }

  /**
   * Embeddings `[B,L,D]` of token ids, in the encoder's type.
   *
   * @param ids_BL int64, each below the vocabulary size
   * @param mask_BL 1 for tokens that may be attended to. Without it tokens attend to padding, as in LTXPipeline and the
   *   Lightricks trainer. With it padding is masked, as in LTXConditionPipeline.
   * @throws RangeError for float16: T5's activations overflow it
   */
  forward(ids_BL: Tensor, mask_BL?: Tensor): Tensor {
    if (this.dtype === "float16") {
      throw new RangeError(
        "T5Encoder: got float16 weights, expected float32 or bfloat16; T5 v1.1 overflows float16",
      );
    }
    return scope(() => {
      const bias_xNLL = this.attentionBias(ids_BL.size(1), mask_BL);
      let x = this.embed(ids_BL);
      for (const block of this.blocks) {
        const next = block.forward(x, bias_xNLL);
        x.free();
        x = next;
      }
      return this.#finalNorm.forward(x);
    });
  }

  /** Token embeddings, not scaled. */
  embed(ids_BL: Tensor): Tensor {
    return embedding(this.#embedding, ids_BL);
  }

  /** The bias that every block adds to its scores: `[1,N,L,L]`, or `[B,N,L,L]` with a mask. */
  attentionBias(length: number, mask_BL?: Tensor): Tensor {
    return scope(() => {
      const { relativeAttentionNumBuckets: buckets, relativeAttentionMaxDistance: maxDistance } = this.config;
      const bias_1NLL = positionBias(this.#biasTable_xN, length, { buckets, maxDistance });
      if (!mask_BL) return bias_1NLL;
      const hidden_B11L = mask_BL.to(this.dtype).rsub(1).mul(lowest(this.dtype)).unsqueeze(1).unsqueeze(1);
      return bias_1NLL.add(hidden_B11L);
    });
  }
}

/** The most negative finite number of a type: a masked score that softmax turns into exactly 0. */
function lowest(dtype: DType): number {
  if (dtype === "float64") return -Number.MAX_VALUE;
  return dtype === "bfloat16" ? -3.3895313892515355e38 : -3.4028234663852886e38;
}
