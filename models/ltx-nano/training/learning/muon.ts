/**
 * Muon: momentum, with (nearly) orthogonalised rows per weight matrix.
 *
 * Idea: Adam scales each number by itself; Muon scales the directions of a whole weight matrix, so that rare directions are
 * learned as fast as common ones. Weights with two or more axes are treated as matrices with one row per output channel.
 * Everything else (biases, tables, word embeddings) uses AdamW, stepped together with Muon.
 *
 * Source: Jordan et al., "Muon" (2024), the quintic Newton-Schulz iteration and its coefficients; the scale
 * 0.2 sqrt(max(rows, columns)), which makes one learning rate fit both optimizers: Liu et al., arXiv:2502.16982.
 */
import { AdamW, keep, noGrad, scope, type Tensor, zerosLike } from "@ltx-trainer/torch";

const momentum = 0.95;
const iterations = 5;
const [a, b, c] = [3.4445, -4.775, 2.0315] as const;

type Slot = { readonly name: string; readonly parameter: Tensor; readonly momentum: Tensor };

export type MuonOptions = { readonly lr: number; readonly weightDecay: number };

export class Muon {
  readonly #slots: readonly Slot[];
  readonly #rest: AdamW;
  readonly #weightDecay: number;

  /** @param isMatrix which of the parameters of two and more axes are Muon's; default all of them */
  constructor(
    parameters: ReadonlyMap<string, Tensor>,
    options: MuonOptions,
    isMatrix: (name: string) => boolean = () => true,
  ) {
    const matrices = [...parameters].filter(([name, { ndim }]) => ndim >= 2 && isMatrix(name));
    const names = new Set(matrices.map(([name]) => name));
    this.#slots = matrices.map(([name, parameter]) => {
      return { name, parameter, momentum: keep(noGrad(() => zerosLike(parameter))) };
    });
    this.#rest = new AdamW(new Map([...parameters].filter(([name]) => !names.has(name))), {
      lr: options.lr,
      betas: [0.9, 0.98],
      weightDecay: 0,
    });
    this.#weightDecay = options.weightDecay;
  }

  step(lr: number): void {
    this.#rest.step(lr);
    noGrad(() => {
      for (const slot of this.#slots) scope(() => this.#update(slot, lr));
    });
  }

  #update({ parameter, momentum: velocity }: Slot, lr: number): void {
    const gradient = parameter.grad;
    if (gradient === undefined) return;
    velocity.mul_(momentum).add_(gradient);
    const ahead = gradient.add(velocity.mul(momentum));
    const rows = parameter.size(0);
    const columns = parameter.numel / rows;
    const height = chunkHeight(rows);
    const direction = orthogonalized(ahead.reshape([rows / height, height, columns]));
    if (this.#weightDecay > 0) parameter.mul_(1 - lr * this.#weightDecay);
    const scale = 0.2 * Math.sqrt(Math.max(height, columns));
    parameter.add_(direction.mul(-lr * scale).reshape(parameter.shape));
  }

  zeroGrad(): void {
    for (const { parameter } of this.#slots) parameter.grad = undefined;
    this.#rest.zeroGrad();
  }

  /** The state of both optimizers by parameter name, for a checkpoint. */
  state(): Map<string, Tensor> {
    const own = this.#slots.map(({ name, momentum: velocity }) => [`${name}.momentum`, velocity] as const);
    return new Map([...own, ...this.#rest.state()]);
  }

  /** @throws RangeError when something is missing */
  loadState(tensors: { tensor(name: string): Tensor; has(name: string): boolean }, stepCount: number): void {
    for (const { name, momentum: velocity } of this.#slots) {
      const key = `${name}.momentum`;
      if (!tensors.has(key)) throw new RangeError(`optimizer state: ${key} is missing`);
      scope(() => noGrad(() => velocity.copy_(tensors.tensor(key))));
    }
    this.#rest.loadState(tensors, stepCount);
  }
}

/** Rows are taken in equal pieces of at most 64: the cost of the iteration grows with their square. */
function chunkHeight(rows: number): number {
  let height = Math.min(rows, 64);
  while (rows % height !== 0) height--;
  return height;
}

/**
 * The nearest matrices with orthogonal rows (or columns, the shorter side), up to a third or so in their singular values;
 * `[n, rows, columns]`.
 */
export function orthogonalized(matrices: Tensor): Tensor {
  return scope(() => {
    const isTall = matrices.size(1) > matrices.size(2);
    let x = isTall ? matrices.transpose(1, 2) : matrices;
    x = x.div(x.square().sum([1, 2], true).sqrt().add(1e-7)).to("bfloat16");
    for (let iteration = 0; iteration < iterations; iteration++) {
      const gram = x.matmul(x.transpose(1, 2));
      x = x.mul(a).add(gram.mul(b).add(gram.matmul(gram).mul(c)).matmul(x));
    }
    return isTall ? x.transpose(1, 2) : x;
  });
}
