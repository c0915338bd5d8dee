/** Says what the text encoder of a base model does not see of a text: what is cut, and words that it has no tokens for. */
import type { BaseModel, Tokenizer } from "@ltx-trainer/ltx";

/** What is not seen of a text, each as the end of a sentence. */
export type DescribeUnseen = (text: string) => readonly string[];

/** For the tokenizer and text length of one base model. The tokenizer is read at the first question. */
export function describeUnseenBy(
  base: Pick<BaseModel, "name" | "loadTokenizer"> & {
    readonly defaults: Pick<BaseModel["defaults"], "textLength">;
  },
): DescribeUnseen {
  let tokenizer: Tokenizer | undefined;
  return (text) => {
    tokenizer ??= base.loadTokenizer();
    const { name, defaults } = base;
    return [
      ...describeCut(text, { name, textLength: defaults.textLength }, tokenizer),
      ...describeUnknown(text, base.name, tokenizer),
    ];
  };
}

/** The same about prompts, as whole sentences; each text is named as the option it came with. */
export function describeUnseenPrompts(
  prompts: Readonly<Record<string, string>>,
  describeUnseen: DescribeUnseen,
): string[] {
  return Object.entries(prompts).flatMap(([name, text]) => {
    return describeUnseen(text).map((unseen) => `${name}: ${unseen}`);
  });
}

function describeCut(
  text: string,
  { name, textLength }: { readonly name: string; readonly textLength: number },
  tokenizer: Tokenizer,
): string[] {
  const tokens = tokenizer.count(text);
  if (tokens <= textLength) return [];
  const lost = shorten(findUnseenPart(text, textLength, tokenizer));
  return [`${tokens} tokens, and ${name} reads ${textLength}: it does not see "${lost}"`];
}

/** Words of alphabets that the tokenizer was not made for: all of them look the same to the model. */
function describeUnknown(text: string, name: string, tokenizer: Tokenizer): string[] {
  const [unknown, ...others] = tokenizer.tokenize("<unk>");
  if (unknown === undefined || others.length > 0) return [];
  const words = text.split(/\s+/).filter((word) => {
    if (!/\p{L}/u.test(word)) return false;
    const tokens = tokenizer.tokenize(word);
    // One for the start of the word, one for all of its unknown letters.
    return tokens.length <= 2 && tokens.includes(unknown);
  });
  if (words.length === 0) return [];
  const shown = shorten(words.join(" "));
  return [`${name} does not know the letters of "${shown}", and cannot tell them from other unknown words`];
}

/** From the first word that does not fit; within it, where it is as long as a sentence without blanks. */
function findUnseenPart(text: string, textLength: number, tokenizer: Tokenizer): string {
  const fits = (end: number) => tokenizer.count(text.slice(0, end)) <= textLength;
  const wordEnds = Array.from(text.matchAll(/\S+/g), (word) => word.index + word[0].length);
  const fitting = wordEnds.slice(0, countFitting(wordEnds, fits));
  const seen = fitting.at(-1) ?? 0;
  const next = wordEnds[fitting.length] ?? text.length;
  if (next - seen <= longestWord) return text.slice(seen).trim();
  const ends = Array.from({ length: next - seen }, (_, index) => seen + index + 1);
  return text.slice(seen + countFitting(ends, fits)).trim();
}

/** How many of the ascending `ends` come before the first that does not fit. */
function countFitting(ends: readonly number[], fits: (end: number) => boolean): number {
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fits(ends[middle] as number)) low = middle + 1;
    else high = middle;
  }
  return low;
}

const longestWord = 30;

function shorten(text: string): string {
  return text.length <= 120 ? text : `${text.slice(0, 60)} ... ${text.slice(-50)}`;
}
