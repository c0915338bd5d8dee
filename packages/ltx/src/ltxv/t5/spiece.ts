/**
 * Reads a SentencePiece vocabulary: `spiece.model` (a protobuf) or the Unigram part of a `tokenizer.json`.
 *
 * The released LTX folders have only `spiece.model`. Both formats become a `PieceModel`, from which `unigram.ts`
 * tokenises.
 *
 * Source: google/sentencepiece@v0.2.0 `src/sentencepiece_model.proto` (field numbers);
 * huggingface/tokenizers@v0.21.0 `tokenizers/src/models/unigram/serialization.rs` (json layout).
 */

/** The types of pieces, with their values in the protobuf. */
export const pieceType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export type Piece = { readonly text: string; readonly score: number; readonly type: number };

/** A vocabulary and how text is prepared for it. The id of a piece is its index. */
export type PieceModel = {
  readonly pieces: readonly Piece[];
  /** `precompiled_charsmap`. Empty when the model rewrites nothing. */
  readonly charsMap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
};

const unigramModelType = 1;

/**
 * Parses the bytes of a `spiece.model` file.
 *
 * @throws Error when the bytes are not such a model, or it is not a plain unigram model (BPE, byte fallback)
 */
export function readPieceModel(file: Uint8Array): PieceModel {
  const pieces: Piece[] = [];
  let normalizer: Fields = new Map();
  let trainer: Fields = new Map();
  for (const [field, values] of readFields(file, "spiece.model")) {
    if (field === 1) for (const value of values) pieces.push(readPiece(asBytes(value)));
    if (field === 2) trainer = readFields(asBytes(values[0]), "trainer_spec");
    if (field === 3) normalizer = readFields(asBytes(values[0]), "normalizer_spec");
  }
  const type = asNumber(trainer.get(3)?.[0], unigramModelType);
  if (type !== unigramModelType) {
    throw new Error(`spiece.model: got model type ${type}, expected 1 (unigram), the type T5 uses`);
  }
  if (asNumber(trainer.get(35)?.[0], 0) !== 0) {
    throw new Error("spiece.model: got byte_fallback on, expected off, as in T5");
  }
  requireUnknownPiece(pieces, "spiece.model");
  const flag = (field: number): boolean => asNumber(normalizer.get(field)?.[0], 1) !== 0;
  return {
    pieces,
    charsMap: asBytes(normalizer.get(2)?.[0] ?? new Uint8Array()),
    addDummyPrefix: flag(3),
    removeExtraWhitespaces: flag(4),
    escapeWhitespaces: flag(5),
  };
}

/**
 * Converts the parsed `tokenizer.json` of a T5-type fast tokenizer.
 *
 * @throws Error when the model is not Unigram or prepares text in a way that T5 does not
 */
export function pieceModelFromJson(json: unknown): PieceModel {
  const { model, normalizer, pre_tokenizer: preTokenizer, added_tokens: added } = json as TokenizerJson;
  if (model?.type !== "Unigram" || !Array.isArray(model.vocab)) {
    throw new Error(`tokenizer.json: got model type ${model?.type}, expected Unigram with a vocab list`);
  }
  if (model.byte_fallback)
    throw new Error("tokenizer.json: got byte_fallback true, expected false, as in T5");
  const special = new Set((added ?? []).filter((token) => token.special).map((token) => token.content));
  const pieces = model.vocab.map(([text, score], id): Piece => {
    if (id === model.unk_id) return { text, score, type: pieceType.unknown };
    return { text, score, type: special.has(text) ? pieceType.control : pieceType.normal };
  });
  requireUnknownPiece(pieces, "tokenizer.json");
  const charsMap = flattenNormalizers(normalizer).find((step) => step.type === "Precompiled");
  return {
    pieces,
    charsMap: Buffer.from(charsMap?.precompiled_charsmap ?? "", "base64"),
    addDummyPrefix: addsDummyPrefix(preTokenizer),
    removeExtraWhitespaces: true,
    escapeWhitespaces: true,
  };
}

type NormalizerJson = { type: string; normalizers?: NormalizerJson[]; precompiled_charsmap?: string };
type PreTokenizerJson = {
  type: string;
  prepend_scheme?: string;
  add_prefix_space?: boolean;
  pretokenizers?: PreTokenizerJson[];
};
type TokenizerJson = {
  model?: { type?: string; unk_id?: number; vocab?: [string, number][]; byte_fallback?: boolean };
  normalizer?: NormalizerJson | null;
  pre_tokenizer?: PreTokenizerJson | null;
  added_tokens?: { content: string; special: boolean }[];
};

/** Strip and Replace are how the json form spells `remove_extra_whitespaces`; the engine does that itself. */
function flattenNormalizers(normalizer: NormalizerJson | null | undefined): NormalizerJson[] {
  if (!normalizer) return [];
  if (normalizer.type === "Sequence") return (normalizer.normalizers ?? []).flatMap(flattenNormalizers);
  if (!["Precompiled", "Strip", "Replace"].includes(normalizer.type)) {
    throw new Error(
      `tokenizer.json: got normalizer ${normalizer.type}, expected Precompiled, Strip or Replace, as T5 has; ` +
        "put the model's spiece.model into the folder instead",
    );
  }
  return [normalizer];
}

/** Metaspace writes spaces as U+2581. `prepend_scheme` replaced the older flag `add_prefix_space`. */
function addsDummyPrefix(preTokenizer: PreTokenizerJson | null | undefined): boolean {
  const steps = preTokenizer?.type === "Sequence" ? (preTokenizer.pretokenizers ?? []) : [preTokenizer];
  const metaspace = steps.find((step) => step?.type === "Metaspace");
  const scheme = metaspace?.prepend_scheme ?? (metaspace?.add_prefix_space === false ? "never" : "always");
  if (metaspace && (scheme === "always" || scheme === "never")) return scheme === "always";
  throw new Error(
    `tokenizer.json: got pre-tokenizer ${metaspace ? `Metaspace with prepend_scheme ${scheme}` : preTokenizer?.type}, ` +
      "expected Metaspace with always or never, as T5 has; put the model's spiece.model into the folder instead",
  );
}

function requireUnknownPiece(pieces: readonly Piece[], where: string): void {
  if (pieces.some((piece) => piece.type === pieceType.unknown)) return;
  throw new Error(
    `${where}: got ${pieces.length} pieces and no unknown piece, expected a SentencePiece vocabulary`,
  );
}

function readPiece(bytes: Uint8Array): Piece {
  const fields = readFields(bytes, "piece");
  const score = asBytes(fields.get(2)?.[0] ?? new Uint8Array(4));
  return {
    text: new TextDecoder().decode(asBytes(fields.get(1)?.[0] ?? new Uint8Array())),
    score: new DataView(score.buffer, score.byteOffset, 4).getFloat32(0, true),
    type: asNumber(fields.get(3)?.[0], pieceType.normal),
  };
}

// A protobuf message is a list of (field number, wire type, value). Wire type 0 is a variable-length integer,
// 1 and 5 are eight and four raw bytes, 2 is a length and that many bytes.
type Fields = Map<number, (number | Uint8Array)[]>;

function readFields(bytes: Uint8Array, where: string): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < bytes.length; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new Error(`${where}: got an integer cut off at byte ${at}, expected a complete protobuf message`);
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key % 8;
    const field = (key - wire) / 8;
    let value: number | Uint8Array;
    if (wire === 0) value = varint();
    else {
      const length = wire === 1 ? 8 : wire === 5 ? 4 : wire === 2 ? varint() : Number.NaN;
      if (!(at + length <= bytes.length)) {
        throw new Error(
          `${where}: got wire type ${wire} at byte ${at}, expected a complete protobuf message`,
        );
      }
      value = bytes.subarray(at, at + length);
      at += length;
    }
    const seen = fields.get(field);
    if (seen) seen.push(value);
    else fields.set(field, [value]);
  }
  return fields;
}

function asBytes(value: number | Uint8Array | undefined): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new Error(`spiece.model: got ${value} where a nested message belongs, expected bytes`);
}

function asNumber(value: number | Uint8Array | undefined, fallback: number): number {
  return typeof value === "number" ? value : fallback;
}
