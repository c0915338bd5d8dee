/**
 * What pre-training shows: formats, their shares, and clips. Every draw follows from (seed, index).
 *
 * The VAE sees plain scenes, scenes with ornaments and abstract clips. The transformer sees plain scenes and scenes in a style,
 * with captions that name it.
 */
import { drawAbstract } from "../clips/abstract.ts";
import { type Clip, drawClip } from "../clips/draw.ts";
import { sampleOrnament } from "../clips/ornaments.ts";
import { Random } from "../clips/random.ts";
import { type ClipFormat, type Point, type Scene, sampleScene } from "../clips/scene.ts";
import { type Style, styles } from "../clips/styles.ts";

/** A size with a weight: how much of the training it gets. */
export type WeightedFormat = {
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly weight: number;
};

const frameRates = [8, 12, 16, 24, 25, 25, 25, 25, 25, 30] as const;

/** One format by lot, with a frame rate between 8 and 30. */
export function sampleFormat(random: Random, formats: readonly WeightedFormat[]): ClipFormat {
  const weights = Object.fromEntries(formats.map((format, index) => [String(index), format.weight]));
  const { width, height, frames } = formats[Number(random.weighted(weights))]!;
  return { width, height, frames, fps: random.pick(frameRates) };
}

/** Lengths of the clips of which the VAE sees windows. */
const wholeClipWeights = { 25: 1, 49: 2, 81: 4 } as const;

/** Sides shorter than this show a part of a frame of this size, so that edges and objects keep their usual scale. */
const usualSide = 64;

/** One clip for the VAE: a window of a longer clip, because motions run over the whole of a clip. */
export function drawForVae(random: Random, shown: ClipFormat): Clip {
  const whole = Math.max(shown.frames, Number(random.weighted(wholeClipWeights)));
  const format = { ...shown, frames: whole };
  const window = { start: random.integer(0, whole - shown.frames + 1), frames: shown.frames };
  const kind = random.weighted({ plain: 6, ornamented: 2, abstract: 1 });
  if (kind === "abstract") return drawAbstract(random, format, window);
  const scene = sampleScene(random, format, { twoObjects: 0.4 });
  const zoom = Math.max(1, usualSide / Math.min(format.width, format.height));
  const corner = { x: random.range(0, 1 - 1 / zoom), y: random.range(0, 1 - 1 / zoom) };
  return drawClip(
    part(scene, corner, zoom),
    format,
    kind === "ornamented" ? sampleOrnament(random) : undefined,
    window,
  );
}

/** The part of a scene that begins at a corner (in fractions of the frame), enlarged to the whole frame. */
function part(scene: Scene, corner: Point, zoom: number): Scene {
  if (zoom === 1) return scene;
  const moved = ({ x, y }: Point): Point => ({ x: (x - corner.x) * zoom, y: (y - corner.y) * zoom });
  const objects = scene.objects.map((object) => ({
    ...object,
    radius: object.radius * zoom,
    from: moved(object.from),
    to: moved(object.to),
  }));
  return { ...scene, objects };
}

/** What one clip of the transformer shows. */
export type Shown = {
  readonly scene: Scene;
  readonly style?: Style | undefined;
};

const styledShare = 0.3;
/** Share of the plain scenes that are drawn again until they show what is learnt last. */
const hardShare = 0.3;
const attempts = 40;

/** One scene for the transformer, plain or in a style. */
export function sampleShown(random: Random, format: ClipFormat): Shown {
  if (random.chance(styledShare))
    return { scene: sampleScene(random, format, { twoObjects: 0 }), style: random.pick(styles) };
  const wantsHard = random.chance(hardShare);
  let scene = sampleScene(random, format);
  for (let attempt = 0; wantsHard && attempt < attempts && !isHard(scene); attempt++)
    scene = sampleScene(random, format, { twoObjects: 0 });
  return { scene };
}

/** Small rings look like discs or hearts, hexagons that spin like circles, and so on. */
function isHard({ objects: [object] }: Scene): boolean {
  const { shape, size, motion } = object!;
  if (shape === "ring") return size === "small" || motion === "bounce" || motion === "blink";
  if (motion === "spin") return shape === "hexagon" || shape === "heart" || shape === "star";
  return size === "small" && (shape === "hexagon" || shape === "heart" || shape === "star");
}

/** The stream of the n-th draw of a training; streams of different purposes (`salt`) never meet. */
export function streamOf(
  seed: number,
  salt: "vae" | "transformer" | "images" | "steps" | "held out" | "exam",
  index: number,
): Random {
  const salts = {
    vae: 0x1000,
    transformer: 0x2000,
    "held out": 0x3000,
    steps: 0x4000,
    exam: 0x5000,
    images: 0x6000,
  };
  return new Random(seed + salts[salt], index);
}
