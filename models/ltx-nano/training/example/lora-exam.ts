/**
 * Evaluates a LoRA: is the effect there with its phrase, absent with the LoRA off, and are prompts without the phrase
 * answered as well as by the base model?
 */
import type { Clip } from "../clips/draw.ts";
import type { ClipFormat } from "../clips/scene.ts";
import { type Answer, makeQuestions, type Question, type Score, scoreOf } from "../judge/exam.ts";
import { judge } from "../judge/judge.ts";
import type { Studio } from "../studio.ts";
import type { ExampleEffect } from "./example-effects.ts";

export type LoraScore = {
  readonly count: number;
  /** Shares of clips with the effect: phrase said and LoRA on; phrase said and LoRA off. */
  readonly withLora: number;
  readonly withoutLora: number;
  /** The base model's exam without the phrase, LoRA on and off. */
  readonly keptOn: Score;
  readonly keptOff: Score;
};

export type LoraExam = { readonly score: LoraScore; readonly clips: readonly Clip[] };

export type LoraExamOptions = {
  readonly formats: readonly ClipFormat[];
  readonly count: number;
  readonly effect: ExampleEffect;
  /** "red circle", "black star": combinations the LoRA's clips show. */
  readonly trained: ReadonlySet<string>;
  readonly onProgress?: (done: number, total: number) => void;
};

export function examineLora(studio: Studio, options: LoraExamOptions): LoraExam {
  const questions = unseen(options);
  const clips: Clip[] = [];
  const [kept, plain]: [Answer[], Answer[]] = [[], []];
  let [on, off] = [0, 0];
  for (const [done, question] of questions.entries()) {
    options.onProgress?.(done, questions.length);
    const { format, index } = question;
    const sample = (prompt: string, isOn: boolean): Clip => {
      studio.setLora(isOn);
      return studio.sample(prompt, { format, seed: 5000 + index });
    };
    const named = `${options.effect.phrase}, ${question.prompt}`;
    const [withLora, withoutLora] = [sample(named, true), sample(named, false)];
    on += Number(options.effect.isPresent(withLora));
    off += Number(options.effect.isPresent(withoutLora));
    const [keptClip, plainClip] = [sample(question.prompt, true), sample(question.prompt, false)];
    kept.push({ question, clip: keptClip, verdict: judge(keptClip) });
    plain.push({ question, clip: plainClip, verdict: judge(plainClip) });
    clips.push(withoutLora, withLora, keptClip);
  }
  const count = questions.length;
  const score = {
    count,
    withLora: on / count,
    withoutLora: off / count,
    keptOn: scoreOf(kept),
    keptOff: scoreOf(plain),
  };
  return { score, clips };
}

/** Combinations of colour and shape that no clip of the dataset shows. */
function unseen({ formats, count, trained }: LoraExamOptions): Question[] {
  return makeQuestions(4 * count, 23, formats)
    .filter(({ object }) => !trained.has(`${object.colour} ${object.shape}`))
    .slice(0, count);
}
