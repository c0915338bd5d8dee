/**
 * The pieces of the vocabulary and their scores.
 *
 * Idea: every word of the captions is one piece, scored by the logarithm of its frequency in the grammar. Below them, in
 * falling order of score, come common English words, word parts, syllables and single characters, so that any prompt in
 * Latin letters can be tokenised, and the longest piece that fits is used.
 */

import { Random } from "../clips/random.ts";
import { sampleScene } from "../clips/scene.ts";
import { describeScene } from "../text/captions.ts";

/** Marks the beginning of a word; SentencePiece writes spaces so. */
export const wordMark = "\u2581";

export type Piece = {
  readonly text: string;
  /** Log-probability. */
  readonly score: number;
  readonly type: "normal" | "unknown" | "control";
};

/** Share of the captions with two objects. Of its own: the bundled weights know the vocabulary that this gave. */
const twoObjects = 0.15;

/** How often each word of the grammar was said in `count` captions, most frequent first. */
export function countWords(count: number, seed: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let index = 0; index < count; index++) {
    const random = new Random(seed, index);
    const scene = sampleScene(random, { width: 64, height: 64, frames: 25, fps: 25 }, { twoObjects });
    for (const word of describeScene(scene, random)
      .toLowerCase()
      .match(/[a-z]+/g) ?? []) {
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  return new Map([...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)));
}

const generalWords = `
about above across action after again air all along also always am among and animal animated any are around art as at away
baby back backdrop bag ball band be beach beautiful because become bed before behind below best better between big bird
blurry body book both bottom box boy break bright bring build building but by call camera can car cartoon cat center
change child city clean clear clip close cloud cold color colour come comic cool corner could crazy cut
dance dark day deep design different distorted do dog door down dream drawn dry each earth edge effect end every eye face
fade fall far fast film fire first fish flat flower fly follow food for forest forward frame free friend front full fun
game gentle get girl give glow go gold good grass great ground group had half hand happy hard has have he head heavy
her here hi high him his hold home horse hot house how i ice if image in inconsistent inside into is it its jittery
jump just keep kind know lamp land large last late leaf learn leave let life light like line little live long look lot
love low machine made magic make man many map me mean metal middle mode moon more most motion mountain move much music my
name near neon never new next night no none nose not now object ocean of off old on once one only open or other our out
outline over page paint paper part party path pattern people person photo picture piece place plane plant play please
point pop poster power pretty pulse quality quick quickly rain rainbow rapid read real river road robot rock room round
run same say scene screen sea second see shadow shape she shine ship shiny show side sign silver simple size sky sleep
slow slowly small smoke smooth snow so soft some song sound space speed splash spot spring still stone stop stripe
strong style summer sun sunset sweet table take tall tell text texture than that the their them then there these they
thick thin thing this three through time to toy train tree trigger turn two under until up us use very video view walk
wall want warm was water wave way we well were what wheel when where which while who wide wild will wind window winter
with without wood word work world worst would year you young your
`;

const wordParts = `
s es ed er ers est en ing ings ion tion ations ate ated al ally ial ic ical ish ism ist ity ive ize ized le less ly ment
ness ous out over able ible ful fully y ies th ther tha the st str sh ch ck ph qu wh wn ow own ous ound ould ight ough ell
ill all ull and end ind ond und ang ong ung ank ink ant ent int ont unt art ert ort irt ard ord ird ame ake ate ave age
ace ade ape ase are ire ore ure ome one ose ove ice ide ife ike ile ime ine ipe ite ive oad oak oat ock ood ook ool oom
oon oor oot op ope ot ound ow ub ud ug um un up ur us ut ay ey oy ea ear eat ee eed eel een eep eer eet ei ew ie
an in on or re de pre pro con com dis un mis non sub super inter trans auto bi tri micro mini multi neo pulse glow wave
`;

function wordsOf(text: string): readonly string[] {
  return text.trim().split(/\s+/);
}

/** Consonant and vowel both ways: most made-up words fall into these. */
function syllables(): readonly string[] {
  const consonants = "bcdfghjklmnprstvwxyz".split("");
  const vowels = "aeiou".split("");
  return consonants.flatMap((consonant) => vowels.flatMap((vowel) => [consonant + vowel, vowel + consonant]));
}

const letters = "abcdefghijklmnopqrstuvwxyz".split("");
const digits = "0123456789".split("");
const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".split("");

/** The pieces in the order of their ids. T5's fixed ids come first: 0 padding, 1 end, 2 unknown. */
export function makePieces(): readonly Piece[] {
  const pieces: Piece[] = [
    { text: "<pad>", score: 0, type: "control" },
    { text: "</s>", score: 0, type: "control" },
    { text: "<unk>", score: 0, type: "unknown" },
  ];
  const known = new Set(pieces.map((piece) => piece.text));
  const add = (text: string, score: number): void => {
    if (known.has(text)) return;
    known.add(text);
    // Rounded so that the file is the same whatever the last bit of a logarithm is; nudged by id so that no two tie.
    pieces.push({ text, score: Math.round(score * 1000) / 1000 - pieces.length * 1e-5, type: "normal" });
  };
  const counts = countWords(20_000, 1);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  for (const mark of [",", "."]) add(mark, -4);
  for (const [word, count] of counts) add(wordMark + word, Math.max(-9, Math.log(count / total)));
  for (const word of wordsOf(generalWords)) add(wordMark + word, -10);
  for (const part of wordsOf(wordParts)) add(part, -11 - 1 / part.length);
  for (const syllable of syllables()) add(syllable, -12);
  for (const letter of letters) add(wordMark + letter, -12.5);
  for (const character of [...letters, ...digits, ...punctuation]) add(character, -13);
  add(wordMark, -12.8);
  return pieces;
}
