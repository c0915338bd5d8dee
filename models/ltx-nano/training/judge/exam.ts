/**
 * The evaluation's questions (seeded scenes with captions) and the share of right answers.
 *
 * Shapes, colours, motions and backgrounds are random; aspect ratios, sizes and lengths alternate.
 */

import type { Clip } from "../clips/draw.ts";
import type { ClipFormat, SceneObject } from "../clips/scene.ts";
import { sampleScene } from "../clips/scene.ts";
import { streamOf } from "../learning/curriculum.ts";
import { describeScene } from "../text/captions.ts";
import type { Verdict } from "./judge.ts";

export type Question = {
  readonly index: number;
  readonly format: ClipFormat;
  readonly object: SceneObject;
  readonly prompt: string;
  /** The scene itself, drawn: what a perfect model would be judged by. */
  readonly scene: ReturnType<typeof sampleScene>;
};

export type Answer = {
  readonly question: Question;
  readonly clip: Clip;
  readonly verdict: Verdict | undefined;
};

export type Score = {
  readonly count: number;
  readonly colour: number;
  readonly shape: number;
  readonly motion: number;
  /** All three right. */
  readonly all: number;
};

/** One object a question, every caption says how it moves (standing still may go unsaid). */
export function makeQuestions(count: number, seed: number, formats: readonly ClipFormat[]): Question[] {
  return Array.from({ length: count }, (_, index) => {
    const format = formats[index % formats.length]!;
    const random = streamOf(seed, "exam", index);
    const scene = sampleScene(random, format, { twoObjects: 0 });
    const prompt = describeScene(scene, random, { omitMotion: 0 });
    return { index, format, object: scene.objects[0]!, prompt, scene };
  });
}

function isRight({ question, verdict }: Answer): Record<"colour" | "shape" | "motion" | "all", boolean> {
  const { colour, shape, motion } = question.object;
  const right = {
    colour: verdict?.colour === colour,
    shape: verdict?.shape === shape,
    motion: verdict?.motion === motion,
  };
  return { ...right, all: right.colour && right.shape && right.motion };
}

/** Shares in [0, 1]. */
export function scoreOf(answers: readonly Answer[]): Score {
  const share = (what: "colour" | "shape" | "motion" | "all"): number =>
    answers.filter((answer) => isRight(answer)[what]).length / Math.max(1, answers.length);
  return {
    count: answers.length,
    colour: share("colour"),
    shape: share("shape"),
    motion: share("motion"),
    all: share("all"),
  };
}

/** "96x96x81 orange star bounce: black star still" for every wrong answer. */
export function describeMistakes(answers: readonly Answer[]): string[] {
  return answers
    .filter((answer) => !isRight(answer).all)
    .map(({ question: { index, format, object, prompt }, verdict }) => {
      const said = verdict ? `${verdict.colour} ${verdict.shape} ${verdict.motion}` : "nothing";
      const asked = `${object.colour} ${object.size} ${object.shape} ${object.motion}`;
      return `${index} ${format.width}x${format.height}x${format.frames} ${asked}: saw ${said} | ${prompt}`;
    });
}
