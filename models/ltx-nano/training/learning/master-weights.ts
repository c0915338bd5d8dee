/**
 * Float32 master copies of weights that the model uses in half precision.
 *
 * Idea: matrix products in bfloat16 are at least twice as fast on processors that support it, but an update is often smaller
 * than the last bit of a bfloat16 weight. So the optimizer updates float32 masters, and the model gets rounded copies.
 */
import { keep, noGrad, scope, type Tensor } from "@ltx-trainer/torch";

export class MasterWeights {
  /** By the name of the weight; what the optimizer and the checkpoint see. */
  readonly all: ReadonlyMap<string, Tensor>;
  readonly #live: ReadonlyMap<string, Tensor>;

  constructor(live: ReadonlyMap<string, Tensor>) {
    this.#live = live;
    this.all = new Map(
      [...live].map(([name, weight]) => [
        name,
        keep(scope(() => noGrad(() => weight.detach().to("float32")))).requiresGrad_(),
      ]),
    );
  }

  /** Moves the gradients of the model's weights to the masters. */
  takeGradients(): void {
    noGrad(() => {
      for (const [name, weight] of this.#live) {
        const gradient = weight.grad;
        this.all.get(name)!.grad = gradient?.to("float32");
        weight.grad = undefined;
      }
    });
  }

  /** Rounds the masters into the model's weights. */
  publish(): void {
    noGrad(() => {
      for (const [name, weight] of this.#live) weight.copy_(this.all.get(name)!);
    });
  }
}
