/**
 * Attention of the LTX transformer: projections, q/k norm over the whole width, rotation, heads, output projection.
 *
 * q and k are normalised and rotated over all heads together, before the heads are split. The checkpoints were trained
 * that way (Lightricks/LTX-Video #224).
 *
 * Shapes: B batch, T query tokens, S key tokens (video or text), D width, N heads, K head width.
 * Source: huggingface/diffusers@58eb52c, `transformer_ltx.py` (LTXAttention, LTXVideoAttnProcessor).
 */
import { attention, Linear, type Parameters, RmsNorm, type Tensor } from "@ltx-trainer/torch";
import type { TransformerConfig } from "../config.ts";
import { transformerWidth } from "../config.ts";
import { applyRope, type RopeTables } from "./rope.ts";

const qkNormEps = 1e-5;

/** One attention layer. Without text, `forward` is self-attention. */
export class Attention {
  readonly #heads: number;
  readonly #normQ: RmsNorm;
  readonly #normK: RmsNorm;
  readonly #toQ: Linear;
  readonly #toK: Linear;
  readonly #toV: Linear;
  readonly #toOut: Linear;

  constructor(p: Parameters, config: TransformerConfig) {
    const width = transformerWidth(config);
    const bias = config.attentionBias;
    this.#heads = config.numAttentionHeads;
    this.#normQ = new RmsNorm(p.at("norm_q"), width, { eps: qkNormEps, affine: true });
    this.#normK = new RmsNorm(p.at("norm_k"), width, { eps: qkNormEps, affine: true });
    this.#toQ = new Linear(p.at("to_q"), width, width, { bias });
    this.#toK = new Linear(p.at("to_k"), width, width, { bias });
    this.#toV = new Linear(p.at("to_v"), width, width, { bias });
    this.#toOut = new Linear(p.at("to_out", 0), width, width, { bias: config.attentionOutBias });
  }

  /**
   * @param options.text_BSD attended to instead of `x_BTD` itself
   * @param options.bias_B11S added to the scores
   */
  forward(
    x_BTD: Tensor,
    options: { rope?: RopeTables; text_BSD?: Tensor; bias_B11S?: Tensor | undefined },
  ): Tensor {
    const source_BSD = options.text_BSD ?? x_BTD;
    let q_BTD = this.#normQ.forward(this.#toQ.forward(x_BTD));
    let k_BSD = this.#normK.forward(this.#toK.forward(source_BSD));
    const v_BSD = this.#toV.forward(source_BSD);
    if (options.rope !== undefined) {
      q_BTD = applyRope(q_BTD, options.rope);
      k_BSD = applyRope(k_BSD, options.rope);
    }
    const mixed_BNTK = attention(
      this.#split(q_BTD),
      this.#split(k_BSD),
      this.#split(v_BSD),
      options.bias_B11S === undefined ? {} : { mask: options.bias_B11S },
    );
    return this.#toOut.forward(mixed_BNTK.transpose(1, 2).flatten(2, 3));
  }

  #split(x_BTD: Tensor): Tensor {
    return x_BTD.unflatten(2, [this.#heads, -1]).transpose(1, 2);
  }
}
