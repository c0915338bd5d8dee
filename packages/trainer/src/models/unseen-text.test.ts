/** What the text encoder does not see, counted with the tokenizer of ltx-nano. */
import { fileURLToPath } from "node:url";
import { T5Tokenizer } from "@ltx-trainer/ltx";
import { expect, test } from "vitest";
import { describeUnseenBy, describeUnseenPrompts } from "./unseen-text.ts";

const folder = fileURLToPath(new URL("../../../../models/ltx-nano/tokenizer", import.meta.url));
const tokenizer = T5Tokenizer.fromFolder(folder);
const describeUnseen = describeUnseenBy({
  name: "ltx-nano",
  defaults: { textLength: 64 },
  loadTokenizer: () => tokenizer,
});

test("a text that fits is not mentioned, to the token", () => {
  let text = "a red square moves right";
  while (tokenizer.count(`${text} right`) <= 64) text = `${text} right`;
  expect(tokenizer.count(text)).toBe(64);
  expect(describeUnseen(text)).toEqual([]);
  expect(describeUnseen(`${text} right`)).toEqual([
    '65 tokens, and ltx-nano reads 64: it does not see "right"',
  ]);
});

test("the part that is lost begins with the first word that is not seen whole", () => {
  const text = `${"a red square moves right ".repeat(12)}and a blue circle rests below`;
  const lost = /it does not see "(.*)"$/.exec(describeUnseen(text).join())?.[1] ?? "";
  expect(lost).toMatch(/^\w+( \w+)* rests below$/);
  const seen = text.slice(0, -lost.length).trim();
  expect(tokenizer.count(seen)).toBeLessThanOrEqual(64);
  expect(tokenizer.count(`${seen} ${lost.split(" ")[0]}`)).toBeGreaterThan(64);
});

test("words without blanks between them are cut between characters, and long losses are shortened", () => {
  const cut = describeUnseen("redbluesquare".repeat(40)).join();
  expect(cut).toMatch(/^\d+ tokens, and ltx-nano reads 64: it does not see "[a-z]{60} \.\.\. [a-z]{50}"$/);
});

test("prompts are named as the options they came with", () => {
  const long = "a red square moves right ".repeat(30);
  expect(describeUnseenPrompts({ prompt: "short", negative_prompt: long }, describeUnseen)).toEqual([
    expect.stringMatching(/^negative_prompt: \d+ tokens, and ltx-nano reads 64: it does not see "/),
  ]);
});

test("words whose letters the model has no tokens for are named, names with known letters are not", () => {
  expect(describeUnseen("TOK, a café in zxqj 🎉")).toEqual([]);
  expect(describeUnseen("a 红色的 square, красный")).toEqual([
    'ltx-nano does not know the letters of "红色的 красный", and cannot tell them from other unknown words',
  ]);
});
