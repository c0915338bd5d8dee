/**
 * The order of samples: every sample once an epoch, in an order that follows from the seed and the epoch alone.
 *
 * Nothing is remembered between steps, so a training that is resumed at step k takes the very sample it would have
 * taken.
 */
import { Generator, randperm, scope } from "@ltx-trainer/torch";
import { seedFor } from "../process/seeds.ts";

export class SampleOrder {
  readonly #count: number;
  readonly #seed: number;
  #epoch = -1;
  #order: readonly number[] = [];

  /** @throws RangeError without samples */
  constructor(count: number, seed: number) {
    if (count < 1) throw new RangeError(`sample order: got ${count} samples, expected at least 1`);
    this.#count = count;
    this.#seed = seed;
  }

  /** Index of the sample that step `step` (from 0) trains on. */
  at(step: number): number {
    const epoch = Math.floor(step / this.#count);
    if (epoch !== this.#epoch) {
      const generator = new Generator(seedFor("order", this.#seed, epoch));
      this.#order = scope(() => randperm(this.#count, { generator }).toArray());
      generator.free();
      this.#epoch = epoch;
    }
    return this.#order[step % this.#count] as number;
  }
}
