import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CharsMap } from "./charsmap.ts";
import { pieceModelFromJson, readPieceModel } from "./spiece.ts";
import { T5Tokenizer } from "./tokenizer.ts";
import { UnigramModel } from "./unigram.ts";

// A vocabulary small enough to tokenise by hand. Lowest score -8, so an uncovered character costs -18.
const vocabulary: [text: string, score: number, type: number][] = [
  ["<pad>", 0, 3],
  ["</s>", 0, 3],
  ["<unk>", 0, 2],
  ["\u2581", -3, 1],
  ["\u2581a", -2, 1],
  ["\u2581red", -4, 1],
  ["r", -5, 1],
  ["e", -5, 1],
  ["d", -5, 1],
  ["a", -6, 1],
  ["ed", -8, 1],
];

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
const bytesField = (field: number, bytes: Iterable<number>): number[] => {
  const content = [...bytes];
  return [...varint(field * 8 + 2), ...varint(content.length), ...content];
};
const floatField = (field: number, value: number): number[] => [
  field * 8 + 5,
  ...new Uint8Array(new Float32Array([value]).buffer),
];
const numberField = (field: number, value: number): number[] => [...varint(field * 8), ...varint(value)];
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function modelFile(trainer: number[] = [], normalizer: number[] = []): Uint8Array {
  const pieces = vocabulary.flatMap(([text, score, type]) =>
    bytesField(1, [...bytesField(1, utf8(text)), ...floatField(2, score), ...numberField(3, type)]),
  );
  return Uint8Array.from([...pieces, ...bytesField(2, trainer), ...bytesField(3, normalizer)]);
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "t5-tokenizer-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function tokenizer(config: object = {}): T5Tokenizer {
  writeFileSync(join(folder, "spiece.model"), modelFile());
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(config));
  return T5Tokenizer.fromFolder(folder);
}

describe("encode", () => {
  test("appends </s> and pads to the asked length", () => {
    expect(tokenizer().encode("a red", 6)).toEqual({ ids: [4, 5, 1, 0, 0, 0], mask: [1, 1, 1, 0, 0, 0] });
  });

  test("keeps </s> when the prompt is cut", () => {
    expect(tokenizer().encode("a red a red", 3)).toEqual({ ids: [4, 5, 1], mask: [1, 1, 1] });
  });

  test("gives one </s> for the empty prompt", () => {
    expect(tokenizer().encode("", 3)).toEqual({ ids: [1, 0, 0], mask: [1, 0, 0] });
  });

  test("adds no second </s> to a prompt that ends with one", () => {
    expect(tokenizer().encode("a</s>", 4).ids).toEqual([4, 1, 0, 0]);
  });

  test("refuses a length without room for </s>", () => {
    expect(() => tokenizer().encode("a", 0)).toThrow(
      /got maxLength 0, expected a whole number of at least 1/,
    );
  });
});

describe("tokenize", () => {
  test("folds spaces and ignores them at both ends", () => {
    expect(tokenizer().tokenize("  a   red ")).toEqual([4, 5]);
  });

  test("prefers the split with the largest score sum", () => {
    // "▁" (-3) + "e" (-5) + "d" (-5) = -13 loses to "▁" + "ed" = -11.
    expect(tokenizer().tokenize("ed")).toEqual([3, 10]);
  });

  test("joins neighbouring unknown characters into one unknown id", () => {
    expect(tokenizer().tokenize("a xyz\u{1f600} a")).toEqual([4, 3, 2, 4]);
  });

  test("cuts out literal special tokens before SentencePiece sees them", () => {
    const tokens = tokenizer({ extra_ids: 3 });
    expect(tokens.tokenize("a <extra_id_0> red<extra_id_2>")).toEqual([4, 13, 5, 11]);
    expect(tokens.idCount).toBe(14);
  });

  test("starts a new word after a special token only in legacy mode", () => {
    expect(tokenizer({ legacy: true }).tokenize("a</s>red")).toEqual([4, 1, 5]);
    expect(tokenizer({ legacy: false }).tokenize("a</s>red")).toEqual([4, 1, 6, 10]);
  });

  test("takes ids of special tokens from added_tokens_decoder", () => {
    const tokens = tokenizer({ extra_ids: 0, added_tokens_decoder: { "40": { content: "<camera>" } } });
    expect(tokens.tokenize("a<camera>")).toEqual([4, 40]);
  });
});

describe("files", () => {
  const json = {
    model: { type: "Unigram", unk_id: 2, vocab: vocabulary.map(([text, score]) => [text, score]) },
    normalizer: { type: "Sequence", normalizers: [{ type: "Strip" }, { type: "Replace" }] },
    pre_tokenizer: { type: "Metaspace", prepend_scheme: "always" },
    added_tokens: [
      { id: 0, content: "<pad>", special: true },
      { id: 1, content: "</s>", special: true },
      { id: 2, content: "<unk>", special: true },
      { id: 11, content: "<extra_id_0>", special: true },
    ],
  };

  test("tokenizer.json alone gives the same ids as spiece.model", () => {
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(json));
    const fromJson = T5Tokenizer.fromFolder(folder);
    const text = "a  red ed<extra_id_0> a</s>";
    expect(fromJson.tokenize(text)).toEqual([4, 5, 3, 10, 11, 4, 1]);
    expect(tokenizer({ extra_ids: 1 }).tokenize(text)).toEqual(fromJson.tokenize(text));
  });

  test("refuses a folder with neither file", () => {
    expect(() => T5Tokenizer.fromFolder(folder)).toThrow(/no spiece.model and no tokenizer.json/);
  });

  test("refuses a model type other than unigram", () => {
    expect(() => readPieceModel(modelFile(numberField(3, 2)))).toThrow(/got model type 2, expected 1/);
    expect(() => pieceModelFromJson({ model: { type: "BPE" } })).toThrow(
      /got model type BPE, expected Unigram/,
    );
  });

  test("refuses a normalizer it does not know", () => {
    const lower = { ...json, normalizer: { type: "Lowercase" } };
    expect(() => pieceModelFromJson(lower)).toThrow(/got normalizer Lowercase/);
  });

  test("refuses a file that is cut off", () => {
    const file = modelFile();
    expect(() => readPieceModel(file.subarray(0, file.length - 30))).toThrow(
      /expected a complete protobuf message/,
    );
    expect(() => new CharsMap(Uint8Array.of(8, 0, 0, 0, 1))).toThrow(/expected a whole trie/);
  });
});

test("a character map rewrites the longest matching prefix", () => {
  // Double array for two rules, "A" -> "a" and "AB" -> "": every unit is placed where `offset ^ byte` points.
  const units = new Uint32Array(512);
  const unit = (label: number, offset: number, leaf: boolean): number =>
    (offset << 10) | (leaf ? 256 : 0) | label;
  units[0] = unit(0, 128, false); // root: child "A" (65) at 128 ^ 65
  units[128 ^ 65] = unit(65, 128 ^ 65 ^ 256, true); // children at 256: value at 256, "B" (66) at 256 ^ 66
  units[256] = 0x80000000;
  units[256 ^ 66] = unit(66, 256 ^ 66 ^ 400, true); // value at 400
  units[400] = (0x80000000 | 2) >>> 0;
  const blob = Uint8Array.from([
    ...new Uint8Array(Uint32Array.of(2048).buffer),
    ...new Uint8Array(units.buffer),
    97,
    0,
    0,
  ]);
  const map = new CharsMap(blob);
  expect(map.longestRewrite(utf8("xA"), 1)).toEqual({ bytes: utf8("a"), length: 1 });
  expect(map.longestRewrite(utf8("AB"), 0)).toEqual({ bytes: utf8(""), length: 2 });
  expect(map.longestRewrite(utf8("B"), 0)).toBeUndefined();

  const model = new UnigramModel({ ...readPieceModel(modelFile()), charsMap: blob });
  expect(model.encode("A red")).toEqual([4, 5]);
});
