/** The styles that the base model learns; the effects of the examples are not among them. */
import { expect, test } from "vitest";
import { exampleEffects } from "../example/example-effects.ts";
import { drawClip } from "./draw.ts";
import { Random } from "./random.ts";
import { sampleScene } from "./scene.ts";
import { styles } from "./styles.ts";

const format = { width: 64, height: 64, frames: 41, fps: 25 };

test("every style has a name of its own, and none has an example's", () => {
  const names = styles.map(({ name }) => name);
  expect(new Set(names).size).toBe(64);
  for (const name of Object.keys(exampleEffects)) expect(names).not.toContain(name);
});

test.each(styles.map(({ name, draw }, index) => [name, draw, index] as const))(
  "%s shows, is always the same, and is none of the examples' effects",
  (_, draw, index) => {
    // Only what moves has a trail.
    const motions = ["left", "bounce"] as const;
    for (const seed of [50, 51, 52]) {
      const scene = sampleScene(new Random(seed, index), format, { twoObjects: 0, motions });
      const clip = drawClip(scene, format, draw);
      const [plain, again] = [drawClip(scene, format), drawClip(scene, format, draw)];
      expect(Buffer.from(clip.pixels.buffer).equals(Buffer.from(plain.pixels.buffer))).toBe(false);
      expect(Buffer.from(clip.pixels.buffer).equals(Buffer.from(again.pixels.buffer))).toBe(true);
      const seen = Object.entries(exampleEffects).filter(([, effect]) => effect.isPresent(clip));
      expect(seen).toEqual([]);
    }
  },
);
