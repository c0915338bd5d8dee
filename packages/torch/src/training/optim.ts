/**
 * AdamW, gradient clipping and the learning-rate schedule.
 *
 * Source: Loshchilov and Hutter, arXiv:1711.05101; the order of operations follows torch.optim.AdamW.
 */
import * as aten from "../addon/aten.generated.ts";
import { hasOp } from "../addon/binding.ts";
import { stack } from "../ops/combine.ts";
import { zerosLike } from "../ops/create.ts";
import { keep, scope } from "../tensor/scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { clearGrads, gradsOf, noGrad } from "./autograd.ts";

export type AdamWOptions = {
  readonly lr: number;
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  /** Decoupled: weights shrink by `lr * weightDecay` per step. */
  readonly weightDecay?: number;
};

type Slot = {
  readonly name: string;
  readonly parameter: Tensor;
  readonly mean: Tensor;
  readonly square: Tensor;
};

export class AdamW {
  /** Number of steps so far. Bias correction depends on it, so it is part of the state. */
  stepCount = 0;
  lr: number;
  readonly #slots: readonly Slot[];
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #weightDecay: number;

  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamWOptions) {
    this.lr = options.lr;
    this.#betas = options.betas ?? [0.9, 0.999];
    this.#eps = options.eps ?? 1e-8;
    this.#weightDecay = options.weightDecay ?? 0.01;
    this.#slots = Array.from(parameters, ([name, parameter]) => ({
      name,
      parameter,
      mean: keep(noGrad(() => zerosLike(parameter))),
      square: keep(noGrad(() => zerosLike(parameter))),
    }));
  }

  /** Updates every parameter that has a gradient. */
  step(lr = this.lr): void {
    this.lr = lr;
    this.stepCount += 1;
    scope(() => noGrad(() => this.#update(lr)));
  }

  #update(lr: number): void {
    const found = gradsOf(this.#slots.map(({ parameter }) => parameter));
    const active = this.#slots.filter((_, index) => found[index] !== undefined);
    if (active.length === 0) return;
    const gradients = found.filter((gradient) => gradient !== undefined);
    const parameters = active.map(({ parameter }) => parameter);
    const means = active.map(({ mean }) => mean);
    const squares = active.map(({ square }) => square);
    const [beta1, beta2] = this.#betas;
    aten._foreach_mul__Scalar(parameters, 1 - lr * this.#weightDecay);
    blend(means, gradients, beta1);
    aten._foreach_mul__Scalar(squares, beta2);
    aten._foreach_addcmul__Scalar(squares, gradients, gradients, 1 - beta2);
    const denominators = aten._foreach_sqrt(squares);
    aten._foreach_div__Scalar(denominators, Math.sqrt(1 - beta2 ** this.stepCount));
    aten._foreach_add__Scalar(denominators, this.#eps);
    aten._foreach_addcdiv__Scalar(parameters, means, denominators, -lr / (1 - beta1 ** this.stepCount));
  }

  zeroGrad(): void {
    clearGrads(this.#slots.map(({ parameter }) => parameter));
  }

  /** Both moments of every parameter, as `<name>.exp_avg` and `<name>.exp_avg_sq`; `stepCount` is to be saved with them. */
  state(): Map<string, Tensor> {
    const tensors = new Map<string, Tensor>();
    for (const { name, mean, square } of this.#slots) {
      tensors.set(`${name}.exp_avg`, mean);
      tensors.set(`${name}.exp_avg_sq`, square);
    }
    return tensors;
  }

  /** @throws RangeError when a moment is missing or has another shape; then the state is unchanged */
  loadState(tensors: { tensor(name: string): Tensor; has(name: string): boolean }, stepCount: number): void {
    const targets = this.state();
    scope(() => {
      for (const [name, { shape }] of targets) {
        if (!tensors.has(name)) throw new RangeError(`optimizer state: ${name} is missing`);
        const found = tensors.tensor(name).shape;
        if (found.join() !== shape.join())
          throw new RangeError(`optimizer state: ${name}: got shape [${found}], expected [${shape}]`);
      }
    });
    for (const [name, target] of targets) scope(() => noGrad(() => target.copy_(tensors.tensor(name))));
    this.stepCount = stepCount;
  }

  free(): void {
    for (const { mean, square } of this.#slots) {
      mean.free();
      square.free();
    }
  }
}

/** `mean += (1 - beta) * (gradient - mean)` */
function blend(means: readonly Tensor[], gradients: readonly Tensor[], beta: number): void {
  if (hasOp("_foreach_lerp_.Scalar")) {
    aten._foreach_lerp__Scalar(means, gradients, 1 - beta);
    return;
  }
  aten._foreach_add__List(means, aten._foreach_sub_List(gradients, means), 1 - beta);
}

/**
 * Scales all gradients so that their joint L2 norm is at most `maxNorm`. Returns the norm before scaling.
 *
 * If the norm is not finite, the gradients are left unchanged: scaling by zero or NaN would hide the problem.
 *
 * Source: torch.nn.utils.clip_grad_norm_, including its 1e-6.
 */
export function clipGradNorm(parameters: Iterable<Tensor>, maxNorm: number): number {
  return scope(() =>
    noGrad(() => {
      const gradients = gradsOf([...parameters]).filter((gradient) => gradient !== undefined);
      if (gradients.length === 0) return 0;
      const norm = stack(aten._foreach_norm_Scalar(gradients, 2), 0).norm().item();
      if (!Number.isFinite(norm)) return norm;
      const factor = Math.min(1, Math.fround(maxNorm / Math.fround(norm + 1e-6)));
      aten._foreach_mul__Scalar(gradients, factor);
      return norm;
    }),
  );
}

/** Whether no tensor holds an infinity or a NaN. All must be on one device; one value is read from it. */
export function areFinite(tensors: Iterable<Tensor>): boolean {
  return scope(() =>
    noGrad(() => {
      const answers = Array.from(tensors, (tensor) => tensor.isFinite().all());
      return answers.length === 0 || stack(answers, 0).all().item() !== 0;
    }),
  );
}

/** Factor of the learning rate at a step: linear from `from` to `to` over `total` steps, then `to`. */
export function linearDecay(step: number, total: number, from = 1, to = 0.1): number {
  return from + ((to - from) * Math.min(step, total)) / total;
}
