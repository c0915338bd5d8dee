/**
 * How much a decoded text looks like writing: what tells the right one of several legacy encodings from the others.
 *
 * Idea: the wrong encoding shows itself within a few letters. It gives rare ideographs, capitals in the middle of words,
 * symbols between letters, and words that change their alphabet. Every character beyond ASCII is worth something
 * between -2 (hardly ever seen there) and +1 (what such texts are made of), weighted by the bytes it takes.
 */

/** The letters of each alphabet, the most frequent first. */
const letters = {
  western: "éèàüäößñóáíçêãåôøúæâîõûëïœùòìðÿþý",
  central: "áíéěščřžýůęąłóśżćńźúőűöüäţţăâîňťďđ",
  turkish: "ıüşğçöİâîû",
  cyrillic: "оеаинтсрвлкмдпуіяыьгзбчйхжшюцщэїєфъёґ",
  greek: "αοιετσνηυρπκμλςωόίάέγήδχθφώύβξζψϊ",
  hebrew: "יוהלארתבשמדנםחכקפגטעצסזןךףץ",
  arabic: "اليمونرتبةعدسفهكقحجشصطخىضذزثءغأإئظؤآ",
  thai: "านรอกเงมยลวดทสตะปบคหแจพชขใไโ่้ัีิื็์ุูำผึซถศญษณธภฐฎ",
} as const;

type Alphabet = keyof typeof letters;

const alphabetOf: Readonly<Record<string, Alphabet>> = {
  "windows-1252": "western",
  cp437: "western",
  "windows-1250": "central",
  "windows-1254": "turkish",
  "windows-1251": "cyrillic",
  "koi8-r": "cyrillic",
  ibm866: "cyrillic",
  "windows-1253": "greek",
  "windows-1255": "hebrew",
  "windows-1256": "arabic",
  "windows-874": "thai",
};

/**
 * Where an encoding's standard keeps the ideographs (in Korean: syllables) of everyday use: range of the first byte, and
 * the least second byte. Source: level 1 of GB 2312, Big5, JIS X 0208; the syllables of KS X 1001.
 */
const everyday: Readonly<Record<string, readonly [first: number, last: number, second: number]>> = {
  gb18030: [0xb0, 0xd7, 0xa1],
  big5: [0xa4, 0xc6, 0x40],
  shift_jis: [0x88, 0x97, 0x40],
  "euc-jp": [0xb0, 0xcf, 0xa1],
  "euc-kr": [0xb0, 0xc8, 0xa1],
};

/**
 * Mean worth of the characters beyond ASCII, by the bytes they take.
 *
 * @param encoding that `text` was decoded with, by its WHATWG label
 */
export function scoreText(text: string, bytes: Uint8Array, encoding: string): number {
  const alphabet = alphabetOf[encoding];
  const likeness =
    alphabet === undefined
      ? scoreIdeographs(text, bytes, encoding)
      : scoreLetters(text, letters[alphabet], isLatin(alphabet));
  return likeness + (priors[encoding] ?? 0);
}

/** What is common tips the balance where a single sign decides: `20 °C` is a Korean syllable, too. */
const priors: Readonly<Record<string, number>> = {
  "windows-1252": 0.15,
  "windows-1251": 0.05,
  gb18030: 0.05,
  shift_jis: 0.05,
};

function isLatin(alphabet: Alphabet): boolean {
  return alphabet === "western" || alphabet === "central" || alphabet === "turkish";
}

function scoreLetters(text: string, alphabet: string, latin: boolean): number {
  const words = text.match(/[\p{L}\p{M}]+/gu) ?? [];
  const worths = [
    ...words.flatMap((word) => wordWorths(word, alphabet, latin)),
    ...Array.from(text.matchAll(/[^\0-\x7f\p{L}\p{M}]/gu), (match) => markWorth(match[0], text, match.index)),
  ];
  return worths.length === 0 ? 0 : worths.reduce((sum, worth) => sum + worth, 0) / worths.length;
}

/**
 * What each letter of a word beyond ASCII is worth. Latin words are ASCII with an accent here and there; in other alphabets
 * a word has no ASCII at all.
 */
function wordWorths(word: string, alphabet: string, latin: boolean): number[] {
  const foreign = word.replace(/[\0-\x7f]/g, "");
  const isOdd = latin
    ? word.length > 2 && foreign.length > 0.75 * word.length
    : foreign.length > 0 && foreign.length < word.length;
  const isCapitalized = word === word.toUpperCase() || word.slice(1) === word.slice(1).toLowerCase();
  return Array.from(foreign, (letter) => {
    if (isOdd || !isCapitalized) return -1.5;
    const rank = alphabet.indexOf(letter);
    if (rank >= 0) return rankWorth(rank, alphabet);
    const capitalRank = alphabet.indexOf(letter.toLowerCase());
    return capitalRank >= 0 ? 0.8 * rankWorth(capitalRank, alphabet) : -0.7;
  });
}

function rankWorth(rank: number, alphabet: string): number {
  return 1 - (1.2 * rank) / alphabet.length;
}

/** Quotes, dashes and money are at home in every encoding, but not inside a word; control characters are at home in none. */
function markWorth(mark: string, text: string, index: number): number {
  const [before, after] = [text[index - 1] ?? " ", text[index + 1] ?? " "];
  const isInside = /\p{L}/u.test(before) && /\p{L}/u.test(after);
  if (mark === "’") return 1;
  if (isInside) return -1.5;
  if (/[£€¿¡°]/.test(mark)) return 1;
  if (/[‘“”„–—…«»\u00a0•™®©½¼×²№]/.test(mark)) return 0.7;
  return /[\p{Cc}\p{Co}\p{Cn}]/u.test(mark) ? -2 : -1;
}

function scoreIdeographs(text: string, bytes: Uint8Array, encoding: string): number {
  let worth = 0;
  let total = 0;
  let before = " ";
  // The text is walked along its bytes: all these encodings write ASCII as one byte and ideographs as two.
  let offset = 0;
  for (const character of text) {
    const size = sizeOf(character, bytes, offset, encoding);
    if (character >= "\x80") {
      total += size;
      worth += size * ideographWorth(character, before, bytes, offset, encoding);
    }
    offset += size;
    before = character;
  }
  return total === 0 ? 0 : worth / total;
}

function sizeOf(character: string, bytes: Uint8Array, offset: number, encoding: string): number {
  if (character < "\x80") return 1;
  if (encoding === "shift_jis" && character >= "\uff61" && character <= "\uff9f") return 1;
  if (encoding === "euc-jp" && bytes[offset] === 0x8f) return 3;
  const second = bytes[offset + 1] ?? 0;
  return encoding === "gb18030" && second >= 0x30 && second <= 0x39 ? 4 : 2;
}

function ideographWorth(
  character: string,
  before: string,
  bytes: Uint8Array,
  offset: number,
  encoding: string,
): number {
  const mixes = /[A-Za-z]/.test(before) ? 1 : 0;
  if (/[\p{Cc}\p{Co}\p{Cn}]/u.test(character)) return -2;
  if (/[\u3040-\u30ff]/.test(character)) return kanaWorth(character, before, encoding) - mixes;
  if (character >= "\uff61" && character <= "\uff9f") return -1;
  if (/[\u3000-\u303f\uff00-\uffef]/.test(character)) return 0.7;
  if (!/\p{L}/u.test(character)) return -0.5;
  const [first, last, second] = everyday[encoding] ?? [0, 0, 0];
  const lead = bytes[offset] ?? 0;
  const isEveryday = lead >= first && lead <= last && (bytes[offset + 1] ?? 0) >= second;
  if (!isEveryday) return -0.7 - mixes;
  if (encoding === "euc-kr") return (frequentHangul.has(character) ? 1.1 : 0.65) - mixes;
  if (isJapanese(encoding)) return 0.7 - mixes;
  return (before === " " && offset > 1 ? 0.2 : 0.8) - mixes;
}

/** The syllables that make up half of any Korean text. Chinese in GBK gives rare ones, and no blanks between its words. */
const frequentHangul: ReadonlySet<string> = new Set(
  "이다는에가하고을로지기의사한은도리를자어시그나아서있라인대해보일정수게들으전러스마여부주오구제장만과와면",
);

/** Japanese is half kana, of one kind at a time; the other encodings have them too, and nobody writes them. */
function kanaWorth(character: string, before: string, encoding: string): number {
  if (!isJapanese(encoding)) return -0.5;
  const isKatakana = character >= "\u30a0";
  const changes = isKatakana ? /[\u3040-\u309f]/.test(before) : /[\u30a0-\u30ff]/.test(before);
  return changes ? 0.6 : 1;
}

function isJapanese(encoding: string): boolean {
  return encoding === "shift_jis" || encoding === "euc-jp";
}
