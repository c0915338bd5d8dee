/**
 * Pieces of a body, joined as they come: a million pieces of one byte would take a hundred times their size, and joining
 * them at the end a while.
 */

/** How many bytes all bodies in memory may have together; counted as they arrive. */
export class Memory {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Takes bytes, if so many are left. @returns whether they were */
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

  /** Makes room for so many bytes in all, for a body whose length is known. */
  reserve(bytes: number): void {
    const larger = new Uint8Array(bytes);
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
  }

  /** The bytes so far. The next `add` starts from nothing and overwrites them. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.length);
    this.length = 0;
    return taken;
  }
}
