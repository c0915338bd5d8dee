/**
 * The precompiled character map of a SentencePiece model. It rewrites byte sequences before tokenising.
 *
 * The file stores a double-array trie (darts-clone) followed by the replacement strings, each terminated by a
 * zero byte. The trie maps a UTF-8 prefix to an offset into those strings. JavaScript's NFKC is no substitute: the map
 * was made with another Unicode version and has more rules (`nmt_nfkc` also drops control characters and turns every kind
 * of blank into a space), and one different character changes the ids.
 *
 * Source: google/sentencepiece@v0.2.0 `src/normalizer.cc`, `third_party/darts_clone/darts.h`.
 */

/** A rewrite of the first `length` bytes at some position of the input. */
export type Rewrite = { readonly bytes: Uint8Array; readonly length: number };

/** Longest-prefix rewriting rules read from `precompiled_charsmap`. */
export class CharsMap {
  readonly #units: Uint32Array;
  readonly #replacements: Uint8Array;

  /** @throws RangeError when the blob is truncated */
  constructor(blob: Uint8Array) {
    const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
    const trieBytes = blob.length >= 4 ? view.getUint32(0, true) : -1;
    if (trieBytes < 0 || trieBytes % 4 !== 0 || 4 + trieBytes > blob.length) {
      throw new RangeError(
        `precompiled_charsmap: got ${blob.length} bytes for a trie of ${trieBytes}, expected a whole trie`,
      );
    }
    this.#units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#replacements = blob.subarray(4 + trieBytes);
  }

  /** The longest rule that matches at `start`, or undefined when the character stays unchanged. */
  longestRewrite(text: Uint8Array, start: number): Rewrite | undefined {
    let position = offsetOf(this.#unit(0));
    let matched = 0;
    let replacement = 0;
    for (let i = start; i < text.length; i++) {
      const byte = text[i]!;
      position ^= byte;
      const unit = this.#unit(position);
      if (labelOf(unit) !== byte) break;
      position ^= offsetOf(unit);
      if (!hasLeaf(unit)) continue;
      matched = i + 1 - start;
      replacement = this.#unit(position) & 0x7fffffff;
    }
    if (matched === 0) return undefined;
    const end = this.#replacements.indexOf(0, replacement);
    return { bytes: this.#replacements.subarray(replacement, end < 0 ? undefined : end), length: matched };
  }

  #unit(position: number): number {
    return this.#units[position] ?? 0;
  }
}

// The bit layout of one darts-clone unit. Bit 31 marks a value unit. The label includes it, so that a value never
// equals a byte.
const labelOf = (unit: number): number => (unit & 0x800000ff) >>> 0;
const hasLeaf = (unit: number): boolean => ((unit >>> 8) & 1) === 1;
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
