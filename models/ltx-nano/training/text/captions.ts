/**
 * Captions for scenes: many wordings per meaning, so that the text encoder learns words instead of sentences.
 *
 * A caption may leave things out (the background, the size), but never mentions what the clip does not show.
 */
import type { Random } from "../clips/random.ts";
import type { Background, Scene, SceneObject } from "../clips/scene.ts";
import {
  backgroundColourWords,
  gradientPlaces,
  type MotionWords,
  motionWords,
  objectColourWords,
  openings,
  plainPlaces,
  shapeWords,
  sizeWords,
  stillOpenings,
} from "./words.ts";

export type CaptionOptions = {
  /** The clip is one frame: say nothing about motion. */
  readonly image?: boolean;
  /** Probability of leaving out the background. */
  readonly omitPlace?: number;
  /** Probability of leaving out the motion of something that moves. */
  readonly omitMotion?: number;
};

/** Words one scene by lot. */
export function describeScene(scene: Scene, random: Random, options: CaptionOptions = {}): string {
  const place = random.chance(options.omitPlace ?? 0.15) ? "" : describePlace(scene.background, random);
  const [first, second] = scene.objects;
  if (first === undefined)
    throw new RangeError("describeScene: got a scene without objects, expected one or two");
  const sentence =
    second === undefined
      ? describeOne(first, place, random, options)
      : describeTwo(first, second, scene.arrangement, place, random, options);
  return punctuate(sentence, random);
}

function describePlace(background: Background, random: Random): string {
  if (background.kind === "plain") {
    return random.pick(plainPlaces).replace("{}", random.pick(backgroundColourWords[background.colour]));
  }
  return random
    .pick(gradientPlaces)
    .replace("{}", random.pick(backgroundColourWords[background.from]))
    .replace("{}", random.pick(backgroundColourWords[background.to]));
}

/** The motion in words, or nothing for images, for what stands still (half of the time) and for what is left out. */
function motionOf(object: SceneObject, random: Random, options: CaptionOptions): MotionWords | undefined {
  const omitted = random.chance(object.motion === "still" ? 0.5 : (options.omitMotion ?? 0.04));
  const words = random.pick(motionWords[object.motion]);
  return options.image || omitted ? undefined : words;
}

/** "small red circle", without an article. */
function naming(object: SceneObject, random: Random): string {
  const sizes = sizeWords[object.size];
  const size = sizes.length > 0 && random.chance(0.8) ? `${random.pick(sizes)} ` : "";
  return `${size}${random.pick(objectColourWords[object.colour])} ${random.pick(shapeWords[object.shape])}`;
}

function withArticle(phrase: string): string {
  return /^[aeio]/.test(phrase) ? `an ${phrase}` : `a ${phrase}`;
}

function join(...parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join(" ");
}

function describeOne(object: SceneObject, place: string, random: Random, options: CaptionOptions): string {
  const motion = motionOf(object, random, options);
  const name = naming(object, random);
  const opening = random.chance(0.15) ? random.pick(options.image ? stillOpenings : openings) : "";
  if (motion === undefined) {
    return random.chance(0.2) ? join(name, place) : join(opening, withArticle(name), place);
  }
  const templates: readonly (() => string)[] = [
    () => join(opening, withArticle(name), motion.doing, place),
    () => join(opening, withArticle(name), motion.doing, place),
    () => join(withArticle(name), motion.does, place),
    () => join(withArticle(name), motion.does, place),
    () => join(withArticle(name), "that", motion.does, place),
    () => join(opening, withArticle(name), join(place && `${place},`, motion.doing)),
    () => (place === "" ? join("the", name, motion.does) : `${place}, ${withArticle(name)} ${motion.does}`),
    () => (place === "" ? join(name, motion.doing) : `${place}, ${withArticle(name)} ${motion.doing}`),
    () => join(name, motion.doing, place),
    () => join(name, motion.doing, place),
    () => theIs(object, motion, place, random),
    // "a spinning red star" works for single words only.
    () =>
      join(
        motion.doing.includes(" ") ? `${name} ${motion.doing}` : withArticle(`${motion.doing} ${name}`),
        place,
      ),
  ];
  return random.pick(templates)();
}

/** "the star is red and spins on a white background" */
function theIs(object: SceneObject, motion: MotionWords, place: string, random: Random): string {
  const shape = random.pick(shapeWords[object.shape]);
  const colour = random.pick(objectColourWords[object.colour]);
  return join("the", shape, "is", colour, "and", motion.does, place);
}

function describeTwo(
  first: SceneObject,
  second: SceneObject,
  arrangement: Scene["arrangement"],
  place: string,
  random: Random,
  options: CaptionOptions,
): string {
  const [one, two] = [withArticle(naming(first, random)), withArticle(naming(second, random))];
  const oneMotion = motionOf(first, random, options);
  const twoMotion = motionOf(second, random, options);
  if (first.motion === second.motion) {
    const both = join(one, "and", two);
    if (oneMotion === undefined) return join(relate(one, two, arrangement, random), place);
    return random.chance(0.5)
      ? join(both, oneMotion.doing, place)
      : join(`${relate(one, two, arrangement, random)},`, "both", oneMotion.doing, place);
  }
  return join(
    relate(join(one, oneMotion?.doing ?? ""), join(two, twoMotion?.doing ?? ""), arrangement, random),
    place,
  );
}

function relate(one: string, two: string, arrangement: Scene["arrangement"], random: Random): string {
  if (arrangement === "side by side") {
    return random.pick([
      `${one} on the left and ${two} on the right`,
      `${one} next to ${two}`,
      `${one} and ${two}`,
      `${one} beside ${two}`,
    ]);
  }
  return random.pick([
    `${one} above ${two}`,
    `${two} below ${one}`,
    `${one} at the top and ${two} at the bottom`,
  ]);
}

/** Capital first letter and full stop, each some of the time. */
function punctuate(sentence: string, random: Random): string {
  const capital = random.chance(0.3) ? sentence.charAt(0).toUpperCase() + sentence.slice(1) : sentence;
  return random.chance(0.3) ? `${capital}.` : capital;
}

const styleWords = ["style", "style", "style", "look", "effect"] as const;

/** Says in which style the scene of a caption is drawn, in one of the places where people say it. */
export function withStyle(caption: string, name: string, random: Random): string {
  const bare = caption.replace(/\.$/, "");
  const phrase = random.chance(0.25) ? name : `${name} ${random.pick(styleWords)}`;
  return random.pick([
    `${phrase}, ${caption}`,
    `${phrase}, ${caption}`,
    `${phrase}, ${caption}`,
    `${phrase}. ${caption}`,
    `${bare}, ${phrase}`,
    `${bare}, in ${name} style`,
  ]);
}
