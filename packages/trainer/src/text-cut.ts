/** Says what the text encoder of a base model does not see of a text: everything beyond its text length is cut. */
import type { BaseModel, T5Tokenizer } from "@ltx-trainer/ltx";

/** What is cut of a text, as the end of a sentence; undefined when all of it is seen. */
export type DescribeCut = (text: string) => string | undefined;

/** For the tokenizer and text length of one base model. The tokenizer is read at the first question. */
export function describeCutFor(base: Pick<BaseModel, "name" | "textLength" | "loadTokenizer">): DescribeCut {
  let tokenizer: T5Tokenizer | undefined;
  return (text) => {
    // Most texts are too short to be asked about: hardly a character becomes more than four tokens.
    if (4 * text.length < base.textLength) return undefined;
    tokenizer ??= base.loadTokenizer();
    const tokens = tokenizer.count(text);
    if (tokens <= base.textLength) return undefined;
    const lost = shorten(unseenPart(text, base.textLength, tokenizer));
    return `${tokens} tokens, and ${base.name} reads ${base.textLength}: it does not see "${lost}"`;
  };
}

/** The same about prompts, as whole sentences; each text is named as the option it came with. */
export function describePromptCuts(
  prompts: Readonly<Record<string, string>>,
  describeCut: DescribeCut,
): string[] {
  return Object.entries(prompts).flatMap(([name, text]) => {
    const cut = describeCut(text);
    return cut === undefined ? [] : [`${name}: ${cut}`];
  });
}

/** From the first word that does not fit; within it, where it is as long as a sentence without blanks. */
function unseenPart(text: string, textLength: number, tokenizer: T5Tokenizer): string {
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
