/**
 * One transformer block: self-attention, cross-attention to the caption, feed-forward.
 *
 * Self-attention and feed-forward are normalised, and modulated and gated by the noise level. Cross-attention takes its
 * input as it is and is not gated.
 *
 * Shapes: B batch, G timestep groups, T video tokens, L text tokens, D width.
 * Source: huggingface/diffusers@58eb52c, `transformer_ltx.py` (LTXVideoTransformerBlock).
 */
import { Linear, type Parameters, rmsNorm, type Tensor } from "@ltx-trainer/torch";
import { type TransformerConfig, transformerWidth } from "../config.ts";
import { Attention } from "./attention.ts";
import { addGated, modulate } from "./conditioning.ts";
import type { RopeTables } from "./rope.ts";

/** Inputs that all blocks of one forward pass share. */
export type BlockInputs = {
  readonly text_BLD: Tensor;
  readonly textBias_B11L: Tensor | undefined;
  readonly modulation_BG6D: Tensor;
  readonly rope: RopeTables;
};

export class TransformerBlock {
  readonly #eps: number;
  readonly #attn1: Attention;
  readonly #attn2: Attention;
  readonly #feedForwardIn: Linear;
  readonly #feedForwardOut: Linear;
  readonly #scaleShiftTable_6D: Tensor;

  constructor(p: Parameters, config: TransformerConfig) {
    const width = transformerWidth(config);
    this.#eps = config.normEps;
    this.#attn1 = new Attention(p.at("attn1"), config);
    this.#attn2 = new Attention(p.at("attn2"), config);
    this.#feedForwardIn = new Linear(p.at("ff", "net", 0, "proj"), width, 4 * width);
    this.#feedForwardOut = new Linear(p.at("ff", "net", 2), 4 * width, width);
    this.#scaleShiftTable_6D = p.tensor("scale_shift_table", [6, width], { normal: width ** -0.5 });
  }

  forward(x_BTD: Tensor, inputs: BlockInputs): Tensor {
    const rows = this.#scaleShiftTable_6D.add(inputs.modulation_BG6D).unbind(2);
    const [shiftAttn, scaleAttn, gateAttn, shiftFf, scaleFf, gateFf] = rows as SixRows;
    const attnIn_BTD = modulate(rmsNorm(x_BTD, undefined, this.#eps), scaleAttn, shiftAttn);
    const attnOut_BTD = this.#attn1.forward(attnIn_BTD, { rope: inputs.rope });
    const afterSelf_BTD = addGated(x_BTD, attnOut_BTD, gateAttn);
    const crossOut_BTD = this.#attn2.forward(afterSelf_BTD, {
      text_BSD: inputs.text_BLD,
      bias_B11S: inputs.textBias_B11L,
    });
    const afterCross_BTD = afterSelf_BTD.add(crossOut_BTD);
    const ffIn_BTD = modulate(rmsNorm(afterCross_BTD, undefined, this.#eps), scaleFf, shiftFf);
    const ffOut_BTD = this.#feedForwardOut.forward(this.#feedForwardIn.forward(ffIn_BTD).gelu("tanh"));
    return addGated(afterCross_BTD, ffOut_BTD, gateFf);
  }
}

type SixRows = [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
