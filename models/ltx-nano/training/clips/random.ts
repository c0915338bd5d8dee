/**
 * A small seeded random source for everything that is drawn: the same seed gives the same clips on every machine.
 *
 * Idea: xoshiro128**, its state filled by splitmix32. One stream per (seed, index), so a run that resumes at step n
 * draws the same values as an uninterrupted run, without stored state.
 * Source: the public-domain reference algorithms of Blackman and Vigna (prng.di.unimi.it), reimplemented.
 */

function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

export class Random {
  readonly #state: [number, number, number, number];

  /** A stream of its own for every pair of integers. */
  constructor(seed: number, index = 0) {
    const fill = splitmix32(splitmix32(seed)() ^ Math.imul(index + 1, 0x85ebca6b));
    this.#state = [fill(), fill(), fill(), fill() | 1];
  }

  /** Uniform in [0, 1), 32 bits. */
  next(): number {
    const state = this.#state;
    const result = Math.imul(rotateLeft(Math.imul(state[1], 5), 7), 9) >>> 0;
    const shifted = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotateLeft(state[3], 11);
    return result / 0x1_0000_0000;
  }

  /** Uniform in [low, high). */
  range(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** A whole number in [low, high), `high` left out. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low));
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One element. @throws RangeError for an empty list */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0)
      throw new RangeError("Random.pick: got an empty list, expected at least one item");
    return items[Math.floor(this.next() * items.length)] as T;
  }

  /** One of the keys, in proportion to its weight. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
    let left = this.next() * total;
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    return entries[entries.length - 1]![0];
  }
}
