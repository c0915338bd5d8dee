/**
 * Writes a SentencePiece model file (protobuf), which every T5 tokenizer can read.
 *
 * Only the fields a reader needs are written: the pieces, the model type with its special ids, and the normaliser.
 * Source: google/sentencepiece, src/sentencepiece_model.proto (field numbers); protobuf wire format.
 */
import type { Piece } from "./pieces.ts";

const pieceTypes = { normal: 1, unknown: 2, control: 3 } as const;
const unigram = 1;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  // Negative numbers are written as 64-bit two's complement, ten bytes long.
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

const field = {
  number: (id: number, value: number): Buffer => Buffer.concat([varint(id << 3), varint(value)]),
  flag: (id: number, value: boolean): Buffer => Buffer.concat([varint(id << 3), varint(value ? 1 : 0)]),
  float: (id: number, value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value, 0);
    return Buffer.concat([varint((id << 3) | 5), bytes]);
  },
  bytes: (id: number, value: Uint8Array): Buffer =>
    Buffer.concat([varint((id << 3) | 2), varint(value.length), value]),
  text: (id: number, value: string): Buffer => field.bytes(id, Buffer.from(value, "utf8")),
};

/** The bytes of a unigram `spiece.model` whose first three pieces are padding, end and unknown. */
export function encodeSentencePieceModel(pieces: readonly Piece[], charsMap: Uint8Array): Buffer {
  const trainer = Buffer.concat([
    field.number(3, unigram),
    field.number(4, pieces.length),
    field.number(40, 2), // unk_id
    field.number(41, -1), // bos_id: T5 has none
    field.number(42, 1), // eos_id
    field.number(43, 0), // pad_id
    field.text(45, "<unk>"),
    field.text(47, "</s>"),
    field.text(48, "<pad>"),
  ]);
  const normalizer = Buffer.concat([
    field.text(1, "ltx_nano_fold"),
    field.bytes(2, charsMap),
    field.flag(3, true), // add_dummy_prefix
    field.flag(4, true), // remove_extra_whitespaces
    field.flag(5, true), // escape_whitespaces
  ]);
  const encoded = pieces.map((piece) =>
    field.bytes(
      1,
      Buffer.concat([
        field.text(1, piece.text),
        field.float(2, piece.score),
        field.number(3, pieceTypes[piece.type]),
      ]),
    ),
  );
  return Buffer.concat([...encoded, field.bytes(2, trainer), field.bytes(3, normalizer)]);
}
