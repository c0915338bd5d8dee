/**
 * Joins the chunks of a body as they arrive. A million chunks of one byte would take a hundred times their size in memory.
 */

/** Limit on the bytes of all bodies in memory together, counted as they arrive. */
export class Memory {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Reserves bytes. @returns false when fewer are left */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#left += bytes;
  }
}

export class Gathered {
  #bytes = new Uint8Array(0);
  length = 0;

  add(piece: Uint8Array): void {
    const length = this.length + piece.length;
    if (length > this.#bytes.length) this.reserve(Math.max(2 * this.#bytes.length, length));
    this.#bytes.set(piece, this.length);
    this.length = length;
  }

  /** Allocates once for a body of known length. */
  reserve(bytes: number): void {
    const larger = new Uint8Array(bytes);
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
  }

  /** Returns the bytes so far and starts over: the next `add` overwrites them. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.length);
    this.length = 0;
    return taken;
  }
}
