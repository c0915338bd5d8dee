/** The vocabulary file must fold and cut text as SentencePiece readers expect. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compileCharsMap, foldTable } from "./charsmap.ts";
import { countWords, makePieces, wordMark } from "./pieces.ts";
import { encodeSentencePieceModel } from "./spiece.ts";
import { applyCharsMap } from "./testing/apply-chars-map.ts";

const charsMap = compileCharsMap(foldTable());

test.each([
  ["A Red Circle", "a red circle"],
  ["Caf\u00e9 \u201cna\u00efve\u201d \u2013 l\u2019eau", 'cafe "naive" - l\'eau'],
  ["cafe\u0301", "cafe"],
  ["\uff21\uff22\uff23 \ufb01ne\u2026", "abc fine..."],
  ["tab\tline\nend\u00a0.", "tab line end ."],
  ["zero\u200bwidth\u0000", "zerowidth\u0000"],
  ["\u5b8c\u5168 \u{1f642}", "\u5b8c\u5168 \u{1f642}"],
])("folds %j to %j", (text, folded) => {
  expect(applyCharsMap(charsMap, text)).toBe(folded);
});

test("the compiled map agrees with its table, character by character", () => {
  const table = foldTable();
  for (let code = 1; code < 0x2100; code++) {
    const character = String.fromCodePoint(code);
    expect(applyCharsMap(charsMap, character)).toBe(table.get(character) ?? character);
  }
});

test("every word of the captions is one piece, and ids 0, 1, 2 are T5's", () => {
  const pieces = makePieces().map((piece) => piece.text);
  expect(pieces.slice(0, 3)).toEqual(["<pad>", "</s>", "<unk>"]);
  for (const word of countWords(500, 99).keys()) expect(pieces).toContain(wordMark + word);
});

test("no piece comes twice, and a whole word beats any way to cut it", () => {
  const pieces = makePieces();
  const scores = new Map(pieces.map((piece) => [piece.text, piece.score]));
  expect(scores.size).toBe(pieces.length);
  const red = scores.get(`${wordMark}red`)!;
  expect(red).toBeGreaterThan(scores.get(`${wordMark}r`)! + scores.get("ed")!);
});

test("the bundled spiece.model is what the script writes", () => {
  const bundled = readFileSync(join(import.meta.dirname, "../../tokenizer/spiece.model"));
  expect(bundled.equals(encodeSentencePieceModel(makePieces(), charsMap))).toBe(true);
});
