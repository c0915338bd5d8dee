/** Captions must say what the scene shows, in many ways, and nothing else. */
import { expect, test } from "vitest";
import { Random } from "../clips/random.ts";
import { sampleScene } from "../clips/scene.ts";
import { describeScene, withStyle } from "./captions.ts";
import { motionWords, objectColourWords, shapeWords } from "./words.ts";

const format = { width: 64, height: 64, frames: 25, fps: 25 };

function captionOf(index: number): { scene: ReturnType<typeof sampleScene>; caption: string } {
  const random = new Random(21, index);
  const scene = sampleScene(random, format);
  return { scene, caption: describeScene(scene, random) };
}

test("names the shape and the colour of every object", () => {
  for (let index = 0; index < 300; index++) {
    const { scene, caption } = captionOf(index);
    for (const object of scene.objects) {
      const text = caption.toLowerCase();
      expect(
        shapeWords[object.shape].some((word) => text.includes(word)),
        caption,
      ).toBe(true);
      expect(
        objectColourWords[object.colour].some((word) => text.includes(word)),
        caption,
      ).toBe(true);
    }
  }
});

test("words the same scene in many ways, and the same way for the same random stream", () => {
  const scene = sampleScene(new Random(4), format);
  const caption = (seed: number): string => describeScene(scene, new Random(seed));
  expect(new Set(Array.from({ length: 60 }, (_, seed) => caption(seed))).size).toBeGreaterThan(40);
  expect(caption(9)).toBe(caption(9));
});

test("says nothing about motion for an image", () => {
  const doing = Object.values(motionWords).flatMap((words) => words.map((word) => word.doing));
  for (let index = 0; index < 100; index++) {
    const random = new Random(22, index);
    const scene = sampleScene(random, { ...format, frames: 1 });
    const caption = describeScene(scene, random, { image: true });
    expect(doing.filter((phrase) => caption.includes(phrase))).toEqual([]);
  }
});

test("a style's name keeps every word of the caption", () => {
  const caption = "a red star spinning on a black background";
  for (let seed = 0; seed < 20; seed++) {
    const styled = withStyle(`${caption}.`, "moonstone", new Random(seed));
    expect(styled).toContain(caption);
    expect(styled).toContain("moonstone");
  }
});

test("no phrase means two things", () => {
  for (const table of [shapeWords, objectColourWords]) {
    const phrases = Object.values(table).flatMap((words) => [...new Set<string>(words)]);
    expect(new Set(phrases).size).toBe(phrases.length);
  }
  const motions = Object.values(motionWords).flatMap((words) => [...new Set(words.map((word) => word.does))]);
  expect(new Set(motions).size).toBe(motions.length);
});
