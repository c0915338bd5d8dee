/**
 * The words of a text file whose encoding nobody has noted down.
 *
 * Marks, valid UTF-8 and the zeros of UTF-16 and UTF-32 are proof. Everything else is a guess between the encodings that
 * text editors have used by default: each one that can decode the bytes is scored by how much the result looks like
 * writing, and the answer says that it was a guess.
 */
import { scoreText } from "./text-likeness.ts";

export type DecodedText = {
  readonly text: string;
  /** As people know it: "UTF-8", "Shift JIS". */
  readonly encoding: string;
  /** Whether it follows from the bytes, or is only the likeliest. */
  readonly isCertain: boolean;
};

/** Encodings without a mark of their own, the likeliest first: the order decides between equals. */
const legacyEncodings = [
  ["windows-1252", "Windows-1252"],
  ["gb18030", "GB 18030"],
  ["shift_jis", "Shift JIS"],
  ["windows-1251", "Windows-1251"],
  ["euc-kr", "EUC-KR"],
  ["big5", "Big5"],
  ["euc-jp", "EUC-JP"],
  ["windows-1250", "Windows-1250"],
  ["windows-1254", "Windows-1254"],
  ["koi8-r", "KOI8-R"],
  ["ibm866", "IBM866"],
  ["windows-1253", "Windows-1253"],
  ["windows-1255", "Windows-1255"],
  ["windows-1256", "Windows-1256"],
  ["windows-874", "Windows-874"],
] as const;

/** The text of a file; undefined when the bytes are no text in any encoding known here. */
export function decodeText(bytes: Uint8Array): DecodedText | undefined {
  if (bytes.includes(0)) return decodeMarked(bytes) ?? decodeWide(bytes);
  return decodeMarked(bytes) ?? decodeUtf8(bytes) ?? guess(bytes);
}

const marks = [
  [[0xff, 0xfe, 0, 0], "UTF-32LE"],
  [[0, 0, 0xfe, 0xff], "UTF-32BE"],
  [[0xef, 0xbb, 0xbf], "UTF-8"],
  [[0xff, 0xfe], "UTF-16LE"],
  [[0xfe, 0xff], "UTF-16BE"],
  [[0x84, 0x31, 0x95, 0x33], "GB18030"],
] as const;

function decodeMarked(bytes: Uint8Array): DecodedText | undefined {
  for (const [mark, encoding] of marks) {
    if (!mark.every((byte, index) => bytes[index] === byte)) continue;
    const text = decodeAs(encoding, bytes.subarray(mark.length));
    if (text !== undefined) return { text, encoding, isCertain: true };
  }
  return undefined;
}

/** UTF-16 and UTF-32 without a mark: no other text holds zeros, and where they lie tells the width and the order. */
function decodeWide(bytes: Uint8Array): DecodedText | undefined {
  // The high bytes of a text are few: zeros in ASCII, one row of the table in most other writing.
  const isLittle = distinctAt(bytes, 1) <= distinctAt(bytes, 0);
  const order = isLittle
    ? ["UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE"]
    : ["UTF-32BE", "UTF-32LE", "UTF-16BE", "UTF-16LE"];
  for (const encoding of order) {
    const text = decodeAs(encoding, bytes);
    if (text !== undefined && !/[\0\ufffe\uffff]/.test(text)) return { text, encoding, isCertain: true };
  }
  return undefined;
}

/** How many different bytes there are at even (0) or odd (1) places. */
function distinctAt(bytes: Uint8Array, parity: 0 | 1): number {
  return new Set(bytes.filter((_, index) => index % 2 === parity)).size;
}

/** Valid UTF-8, or UTF-8 of which so little is damaged that it can be nothing else. */
function decodeUtf8(bytes: Uint8Array): DecodedText | undefined {
  const text = decodeAs("UTF-8", bytes);
  if (text !== undefined) {
    // The one seven-bit encoding in use: its escapes switch the alphabet.
    const isJapanese = text.includes("\u001b$");
    const japanese = isJapanese ? decodeAs("iso-2022-jp", bytes) : undefined;
    if (japanese !== undefined) return { text: japanese, encoding: "ISO-2022-JP", isCertain: true };
    // A few Chinese characters in GBK are valid UTF-8 by chance, and give words of several alphabets.
    return (mixesAlphabets(text) ? guess(bytes) : undefined) ?? { text, encoding: "UTF-8", isCertain: true };
  }
  const repaired = new TextDecoder("utf-8").decode(bytes);
  const damaged = repaired.match(/\ufffd/g)?.length ?? 0;
  const sound = repaired.match(/[^\0-\x7f\ufffd]/g)?.length ?? 0;
  if (sound < 4 * damaged) return undefined;
  return { text: repaired, encoding: "UTF-8 with damaged characters", isCertain: false };
}

/** A name as it may be shown on a terminal or in a log: control characters could rewrite what stands there. */
export function withoutControls(name: string): string {
  return name.replace(/\p{Cc}/gu, "\ufffd");
}

/** Whether one word holds letters of several alphabets: a sign that its bytes are UTF-8 by chance only. */
export function mixesAlphabets(text: string): boolean {
  const words = text.match(/[^\0-\x7f\s]+/g) ?? [];
  return words.some((word) => alphabets.filter((alphabet) => alphabet.test(word)).length > 1);
}

const alphabets = [/\p{Script=Latin}/u, /\p{Script=Cyrillic}/u, /\p{Script=Greek}/u, /[\u0530-\u07ff]/u];

function guess(bytes: Uint8Array): DecodedText | undefined {
  let best: { readonly text: string; readonly encoding: string; readonly score: number } | undefined;
  for (const [label, encoding] of legacyEncodings) {
    const text = decodeLegacy(label, bytes);
    if (text === undefined) continue;
    const score = scoreText(text, bytes, label);
    if (best === undefined || score > best.score) best = { text, encoding, score };
  }
  return best && { text: best.text, encoding: best.encoding, isCertain: false };
}

/** Enough to tell encodings apart; an archive may hold a hundred thousand names. */
const mostGuessedNames = 1000;

/**
 * Names that share one legacy encoding, which is guessed from them together.
 *
 * @param fallback the same names read as CP437, which no decoder of Node knows
 */
export function decodeNames(names: readonly Uint8Array[], fallback: readonly string[]): readonly string[] {
  const some = names.slice(0, mostGuessedNames);
  const bytes = Buffer.concat(some.flatMap((name) => [name, Buffer.from("\n")]));
  let best = {
    label: "cp437",
    score: scoreNames(fallback.slice(0, mostGuessedNames).join("\n"), bytes, "cp437"),
  };
  for (const [label] of legacyEncodings) {
    const text = decodeLegacy(label, bytes);
    if (text === undefined) continue;
    const score = scoreNames(text, bytes, label);
    if (score > best.score) best = { label, score };
  }
  if (best.label === "cp437") return fallback;
  return names.map((name, index) => decodeLegacy(best.label, name) ?? (fallback[index] as string));
}

function decodeLegacy(label: string, bytes: Uint8Array): string | undefined {
  return label === "windows-1252" ? decodeWindows1252(bytes) : decodeAs(label, bytes);
}

/** A letter beyond ASCII before a backslash is half of a character: nobody calls folders so. */
function scoreNames(text: string, bytes: Uint8Array, label: string): number {
  const foreign = text.match(/[^\0-\x7f]/g)?.length ?? 0;
  const torn = text.match(/[^\0-\x7f]\\/g)?.length ?? 0;
  return scoreText(text, bytes, label) - (foreign === 0 ? 0 : torn / foreign);
}

/** Undefined when the bytes are not valid in the encoding. */
function decodeAs(encoding: string, bytes: Uint8Array): string | undefined {
  if (encoding === "UTF-32LE" || encoding === "UTF-32BE") return decodeUtf32(bytes, encoding === "UTF-32LE");
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function decodeUtf32(bytes: Uint8Array, isLittleEndian: boolean): string | undefined {
  if (bytes.length % 4 !== 0) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const characters: string[] = [];
  for (let offset = 0; offset < bytes.length; offset += 4) {
    const code = view.getUint32(offset, isLittleEndian);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
    characters.push(String.fromCodePoint(code));
  }
  return characters.join("");
}

/** What Windows-1252 has where Latin-1 has control characters: 0x80 to 0x9f. */
const windows1252 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

/** By our own table: Node reads "windows-1252" as Latin-1 from 20.18.3 on (nodejs/node#56542). */
function decodeWindows1252(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString("latin1")
    .replace(/[\x80-\x9f]/g, (character) => windows1252[character.charCodeAt(0) - 0x80] ?? "");
}
