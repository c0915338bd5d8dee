/**
 * The styles of the drawn world: made-up names, each of which means one ornament.
 *
 * Idea: a LoRA is triggered by a phrase that the base model does not know. An earlier base model was trained to ignore
 * made-up names, and then ignored trigger phrases too (LOG.md). This one learns that a name can change what is drawn around
 * the objects or behind them, so a LoRA only has to teach what a new name means.
 *
 * No style is one of the example effects. A test runs the effects' judges over each style.
 */
import { samplePattern } from "./abstract.ts";
import { type Effect, paint } from "./draw.ts";
import { sampleColour, sampleOrnament } from "./ornaments.ts";
import { Random } from "./random.ts";

export type Style = {
  readonly name: string;
  readonly draw: Effect;
};

const seed = 2_718;
const kinds = { outline: 3, halo: 4, both: 8, shadow: 1, trail: 2, pattern: 2, bar: 2 } as const;

/** Names of two common words, as people make them. */
const compounds = `
moonstone neonwave silverleaf rainpath firebird seasmoke cloudbreak icepaper sunwood stormglass nightshine velvetday
springtown metalrose dreamspace boxlight fastriver deepforest happyrobot smallsound darkfilm wildflower coolstripe
brightroad softcandy comicbook ghosttrain treehouse skyline snowdance
`;
const madeUp = 34;

const consonants = "bcdfghjklmnprstvwz";
const vowels = "aeiou";

export const styles: readonly Style[] = makeStyles();

function makeStyles(): readonly Style[] {
  const random = new Random(seed);
  const names = new Set(compounds.trim().split(/\s+/));
  const count = names.size + madeUp;
  while (names.size < count) names.add(nonsenseWord(random));
  return [...names].map((name, index) => ({ name, draw: sampleStyle(new Random(seed, index)) }));
}

function sampleStyle(random: Random): Effect {
  const kind = random.weighted(kinds);
  if (kind === "pattern") return patterned(random);
  if (kind === "bar") return bar(random);
  return sampleOrnament(random, kind);
}

/** Stripes, checks, dots or rings over the background, in one colour. */
function patterned(random: Random): Effect {
  const colour = sampleColour(random);
  const index = random.integer(0, 1 << 30);
  return (canvas, { seconds }) => {
    const pattern = samplePattern(new Random(seed, index), canvas, ["stripes", "checks", "dots", "rings"]);
    paint(canvas, colour(seconds), (x, y) => pattern(x + 0.5, y + 0.5, seconds * 25));
  };
}

/** A bar along one side of the picture, but not along its floor. */
function bar(random: Random): Effect {
  const colour = sampleColour(random);
  const side = random.pick(["left", "right", "top"] as const);
  const share = random.range(0.1, 0.22);
  return (canvas, { seconds }) => {
    const { width, height } = canvas;
    const isPainted = (x: number, y: number): boolean =>
      side === "top" ? y < share * height : side === "left" ? x < share * width : x >= (1 - share) * width;
    paint(canvas, colour(seconds), (x, y) => Number(isPainted(x, y)));
  };
}

/** A word that means nothing: "bibo", "vejvecu". */
function nonsenseWord(random: Random): string {
  const syllables = random.integer(2, 4);
  let word = "";
  for (let syllable = 0; syllable < syllables; syllable++) {
    word += consonants[random.integer(0, consonants.length)]! + vowels[random.integer(0, vowels.length)]!;
    if (random.chance(0.3)) word += consonants[random.integer(0, consonants.length)]!;
  }
  return word;
}
