/** The judge against drawn scenes, whose contents are known. */
import { describe, expect, test } from "vitest";
import { type Clip, drawClip } from "../clips/draw.ts";
import type { ClipFormat } from "../clips/scene.ts";
import { exampleEffects } from "../example/example-effects.ts";
import { type Answer, describeMistakes, makeQuestions, scoreOf } from "./exam.ts";
import { judge } from "./judge.ts";

const format = (width: number, height: number, frames: number): ClipFormat => ({
  width,
  height,
  frames,
  fps: 25,
});
const formats = [format(64, 64, 49), format(80, 48, 25), format(48, 80, 81)];

function answered(
  count: number,
  draw = (answer: { scene: Answer["question"]["scene"]; format: ClipFormat }) =>
    drawClip(answer.scene, answer.format),
): Answer[] {
  return makeQuestions(count, 11, formats).map((question) => {
    const clip = draw(question);
    return { question, clip, verdict: judge(clip) };
  });
}

function flat(value: number): Clip {
  return { format: format(32, 32, 9), pixels: new Float32Array(3 * 9 * 32 * 32).fill(value) };
}

describe("judge", () => {
  test("reads colour, shape and motion off drawn scenes", () => {
    const answers = answered(12);
    expect(describeMistakes(answers)).toEqual([]);
    expect(scoreOf(answers)).toMatchObject({ count: 12, all: 1 });
  });

  test("a wrong scene is a wrong answer", () => {
    const [first, second] = answered(2) as [Answer, Answer];
    const swapped = { ...first, verdict: second.verdict };
    expect(scoreOf([swapped]).all).toBe(0);
    expect(describeMistakes([swapped])[0]).toContain(`saw ${second.verdict!.colour}`);
  });

  test("sees nothing on an empty background", () => {
    expect(judge(flat(0.4))).toBeUndefined();
  });
});

describe.each(Object.entries(exampleEffects))("the effect %s", (_, effect) => {
  const questions = makeQuestions(12, 12, [format(64, 64, 81)]);

  test.each(questions.map((question) => [question.prompt, question] as const))("%s", (__, question) => {
    const plain = drawClip(question.scene, question.format);
    const changed = drawClip(question.scene, question.format, effect.draw);
    expect(effect.isPresent(plain)).toBe(false);
    expect(effect.isPresent(changed)).toBe(true);
  });
});
