/**
 * The auxiliary head of pre-training: predicts the label of every token from the middle of the transformer.
 *
 * Shapes: B batch, T tokens, D width.
 */
import { type Generator, Linear, Parameters, scope, type Tensor } from "@ltx-trainer/torch";
import { labelSize } from "../text/scene-labels.ts";

export class LabelHead {
  readonly parameters: Parameters;
  readonly #hidden: Linear;
  readonly #out: Linear;

  constructor(width: number, generator: Generator) {
    this.parameters = Parameters.random({ generator, trainable: true });
    this.#hidden = new Linear(this.parameters.at("hidden"), width, width);
    this.#out = new Linear(this.parameters.at("out"), width, labelSize);
  }

  /** Mean squared error against the labels, in float32. */
  loss(x_BTD: Tensor, labels: Tensor): Tensor {
    return scope(() => {
      const read = this.#out.forward(this.#hidden.forward(x_BTD.to("float32")).silu());
      return read.sub(labels).square().mean();
    });
  }
}
