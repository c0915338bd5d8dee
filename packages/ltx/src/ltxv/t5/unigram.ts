/**
 * SentencePiece unigram tokeniser: finds the most probable split of a text into pieces.
 *
 * Two steps. Normalising rewrites characters, folds runs of spaces and marks spaces as U+2581. Viterbi then finds
 * the split with the largest sum of scores. A character that no piece covers scores `lowest score - 10` and becomes
 * the unknown id. Adjacent unknowns are merged.
 *
 * Scores are summed in float32, like the original: in float64 two nearly equal splits can swap ranks.
 *
 * Source: google/sentencepiece@v0.2.0 `src/normalizer.cc` (Normalize), `src/unigram_model.cc` (EncodeOptimized),
 * `src/sentencepiece_processor.cc` (merging of unknowns).
 */
import { CharsMap } from "./charsmap.ts";
import { type PieceModel, pieceType } from "./spiece.ts";

const spaceMark = "\u2581";
const space = 0x20;
const unknownPenalty = 10;
const noBytes = new Uint8Array();

/** A vocabulary ready to tokenise. */
export class UnigramModel {
  readonly size: number;
  readonly unknownId: number;
  readonly #model: PieceModel;
  readonly #charsMap: CharsMap | undefined;
  /** Pieces that text can match, with their id and score. User-defined ones score higher than all others. */
  readonly #matchable = new Map<string, { id: number; score: number }>();
  readonly #userDefined: Uint8Array[] = [];
  readonly #longestPiece: number;
  readonly #unknownScore: number;

  constructor(model: PieceModel) {
    this.#model = model;
    this.size = model.pieces.length;
    this.unknownId = model.pieces.findIndex((piece) => piece.type === pieceType.unknown);
    this.#charsMap = model.charsMap.length > 0 ? new CharsMap(model.charsMap) : undefined;
    const normal = model.pieces.filter((piece) => piece.type === pieceType.normal);
    const lowest = normal.reduce((low, piece) => Math.min(low, piece.score), Number.POSITIVE_INFINITY);
    const highest = normal.reduce((high, piece) => Math.max(high, piece.score), Number.NEGATIVE_INFINITY);
    this.#unknownScore = Math.fround(lowest - unknownPenalty);
    this.#longestPiece = model.pieces.reduce((longest, piece) => Math.max(longest, piece.text.length), 0);
    for (const [id, piece] of model.pieces.entries()) {
      if (piece.type === pieceType.normal) this.#matchable.set(piece.text, { id, score: piece.score });
      if (piece.type !== pieceType.userDefined) continue;
      const bytes = new TextEncoder().encode(piece.text);
      this.#userDefined.push(bytes);
      this.#matchable.set(piece.text, { id, score: Math.fround(bytes.length * highest) - 0.1 });
    }
  }

  /**
   * The ids of a text, without any special tokens.
   *
   * @param options.dummyPrefix false omits the space that models put in front of the first word
   */
  encode(text: string, options: { readonly dummyPrefix?: boolean } = {}): number[] {
    return this.#bestSplit(this.#normalize(text, options.dummyPrefix ?? true));
  }

  /** The normalised text, with spaces written as U+2581 if the model requires it. */
  #normalize(text: string, dummyPrefix: boolean): string {
    const { addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces } = this.#model;
    const input = new TextEncoder().encode(text);
    const output: number[] = [];
    let at = 0;
    while (removeExtraWhitespaces && at < input.length) {
      const { bytes, length } = this.#rewriteAt(input, at);
      if (bytes.length !== 1 || bytes[0] !== space) break;
      at += length;
    }
    if (at === input.length) return "";
    if (addDummyPrefix && dummyPrefix) output.push(space);
    let afterSpace = removeExtraWhitespaces;
    while (at < input.length) {
      const { bytes, length } = this.#rewriteAt(input, at);
      let from = 0;
      if (afterSpace) while (bytes[from] === space) from++;
      for (let i = from; i < bytes.length; i++) output.push(bytes[i]!);
      if (from < bytes.length) afterSpace = removeExtraWhitespaces && bytes.at(-1) === space;
      at += length;
    }
    const joined = new TextDecoder().decode(Uint8Array.from(output));
    const marked = escapeWhitespaces ? joined.replaceAll(" ", spaceMark) : joined;
    if (!removeExtraWhitespaces) return marked;
    return escapeWhitespaces ? marked.replace(/\u2581+$/, "") : marked.replace(/ +$/, "");
  }

  #rewriteAt(input: Uint8Array, at: number): { bytes: Uint8Array; length: number } {
    const fixed = this.#userDefined.filter((piece) => piece.every((byte, i) => input[at + i] === byte));
    const longest = fixed.reduce((best, piece) => (piece.length > best.length ? piece : best), noBytes);
    if (longest.length > 0) return { bytes: longest, length: longest.length };
    const rewrite = this.#charsMap?.longestRewrite(input, at);
    if (rewrite) return rewrite;
    const length = utf8Length(input[at]!);
    return { bytes: input.subarray(at, at + length), length };
  }

  #bestSplit(text: string): number[] {
    const best: ({ score: number; start: number; id: number } | undefined)[] = new Array(text.length + 1);
    best[0] = { score: 0, start: -1, id: -1 };
    const offer = (start: number, end: number, id: number, candidate: number): void => {
      const rival = best[end];
      if (!rival || candidate > rival.score) best[end] = { score: Math.fround(candidate), start, id };
    };
    for (let start = 0; start < text.length; ) {
      const soFar = best[start]!.score;
      const next = start + (text.codePointAt(start)! > 0xffff ? 2 : 1);
      const last = Math.min(text.length, start + this.#longestPiece);
      for (let end = next; end <= last; end++) {
        const piece = this.#matchable.get(text.slice(start, end));
        if (piece) offer(start, end, piece.id, soFar + piece.score);
      }
      if (!this.#matchable.has(text.slice(start, next))) {
        offer(start, next, this.unknownId, Math.fround(soFar + this.#unknownScore));
      }
      start = next;
    }
    const ids: number[] = [];
    for (let end = text.length; end > 0; ) {
      const { start, id } = best[end]!;
      if (id !== this.unknownId || ids.at(-1) !== id) ids.push(id);
      end = start;
    }
    return ids.reverse();
  }
}

/** Bytes of the UTF-8 character that starts with `lead`. */
function utf8Length(lead: number): number {
  if (lead < 0xc0) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}
