/**
 * What the caption of a medium says: the words of its text file, else the trigger phrase, else what its name tells.
 */
import { withoutExtension } from "../../media/media-kinds.ts";
import { decodeText } from "../../source/text-encoding.ts";

export type Caption = {
  readonly text: string;
  readonly source: "text file" | "trigger phrase" | "file name" | "none";
  /** What was noticed, as sentences for the report. */
  readonly notes: readonly string[];
};

/** What is saved or downloaded under the name of a caption by mistake, by its first characters. */
const documents = [
  ["{\\rtf", "an RTF document"],
  ["<!doctype html", "a web page"],
  ["<html", "a web page"],
  ["version https://git-lfs", "a Git LFS pointer (run `git lfs pull`)"],
  ["%pdf-", "a PDF"],
  ["pk\x03\x04", "an office document or archive"],
] as const;

/** The words in a caption file, and a note where they are a guess. */
export function readWords(bytes: Uint8Array): { readonly text: string; readonly note?: string } {
  const head = Buffer.from(bytes.subarray(0, 64))
    .toString("utf8")
    .replace(/^\ufeff/, "");
  const start = head.trimStart().toLowerCase();
  const document = documents.find(([sign]) => start.startsWith(sign))?.[1];
  if (document !== undefined)
    return { text: "", note: `got ${document}, expected plain text, so it is not used` };
  const decoded = decodeText(bytes);
  if (decoded === undefined) return { text: "", note: "not a text file, so it is not used" };
  const text = oneLine(decoded.text);
  if (decoded.isCertain) return { text };
  return { text, note: `not UTF-8, read as ${decoded.encoding}: save it as UTF-8 if the words are wrong` };
}

/**
 * The caption of one medium: its text with the trigger phrase in front, else the trigger phrase, else its cleaned name.
 *
 * @param text content of the caption file, undefined without one; an empty one counts as none
 */
export function makeCaption(text: string | undefined, triggerPhrase: string, mediaPath: string): Caption {
  const trigger = oneLine(triggerPhrase);
  const given = oneLine(text ?? "");
  const written = fillTrigger(given, trigger);
  const notes =
    written !== given && trigger === "" ? ["[trigger] is left out: there is no trigger phrase"] : [];
  if (written !== "") return { text: withTrigger(written, trigger), source: "text file", notes };
  if (trigger !== "") return { text: trigger, source: "trigger phrase", notes };
  const name = describeName(mediaPath);
  if (name !== "") return { text: name, source: "file name", notes };
  const note = `its name says nothing about what it shows, so it trains without a caption`;
  return { text: "", source: "none", notes: [...notes, note] };
}

/** Where the captions of ai-toolkit want the trigger phrase. */
const placeholder = /\[trigger\]/gi;

/** Puts the trigger phrase where a caption or prompt says `[trigger]`; without a phrase the sign is left out. */
export function fillTrigger(text: string, triggerPhrase: string): string {
  if (text.search(placeholder) === -1) return text;
  const filled = oneLine(text.replace(placeholder, () => triggerPhrase));
  return triggerPhrase.trim() === "" ? filled.replace(/^[\s,;:.]+/, "") : filled;
}

/** Already there means: as whole words and in the same case, since the text encoder tells cases apart. */
function withTrigger(caption: string, trigger: string): string {
  if (trigger === "") return caption;
  const escaped = trigger.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const asWords = new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, "u");
  return asWords.test(caption) ? caption : `${trigger} ${caption}`;
}

/** Colours of a terminal. */
const escapeSequence = /(?!\s)\p{Cc}\[[\d;]*m/gu;

/** Marks that nobody sees and that part a word for the text encoder; joiners are left, emoji and scripts need them. */
const invisible = /[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069]/g;

/** One line of composed characters: nothing invisible, no half surrogates, no doubled blanks. */
function oneLine(text: string): string {
  const line = text
    .normalize("NFC")
    .replace(escapeSequence, "")
    .replace(invisible, "")
    .replace(/[\p{Cc}\p{Cs}\ufffd\ufffe\uffff]/gu, " ")
    .replace(/\s+/g, " ")
    .trim();
  return /[^\p{Cf}\s]/u.test(line) ? line : "";
}

/** What cameras and phones put before their numbers: no words of any language. */
const deviceCodes = listOf(
  "img imge vid mov mvi mvimg dsc dscn dscf dscp dcim pxl dji gopr gx gh gp mah sam hpim cimg pict pano wa fb scrnshot",
);

/** What programs call files: words, but none that says what a file shows. */
const programWords = listOf(
  "image images video videos movie clip clips gopro burst mp whatsapp signal telegram screenshot screenshots screencast " +
    "screen shot recording record rec capture bildschirmfoto bildschirmaufnahme untitled export output out final edit " +
    "edited copy render sequence comp scene frame file new part take camera apple android media download downloads " +
    "dataset data train training sample samples test pic pics picture photo photos foto tmp temp 微信图片 微信视频 屏幕截图 " +
    "屏幕录制 截屏 スクリーンショット 画面収録",
);

/** Words that stand between those and a date. */
const linkWords = listOf(
  "at am pm on from of the a jan feb mar apr may jun jul aug sep oct nov dec january february march april june july " +
    "august september october november december",
);

function listOf(words: string): ReadonlySet<string> {
  return new Set(words.split(" "));
}

/** `DSC00012`, `WA0003`, `20240501T1230`, a camera's folder (`100APPLE`) or the digits of a hash: numbers, whatever surrounds them. */
const numbered = /^(\p{L}{0,4}\d{3,}(\p{L}{1,4}(\d+\p{L}?)?)?|\d+|\d{3}\p{L}{5}|(?=.*\d)[0-9a-f]{8,})$/iu;

/**
 * `Red-cube_spinning.03` becomes `Red cube spinning`; a name that only numbers its file (`IMG_0042`, `0001`) gives way to
 * its folder's, then to nothing.
 */
function describeName(path: string): string {
  const names = withoutExtension(path).split("/").reverse();
  return names.map(describeOne).find((name) => name !== "") ?? "";
}

function describeOne(name: string): string {
  const words = oneLine(name)
    .replace(/[_\-.+\s]+/g, " ")
    .replace(/\(\d+\)/g, " ")
    .split(" ")
    .filter(
      (word) => /[\p{L}\p{N}]/u.test(word) && !numbered.test(word) && !deviceCodes.has(word.toLowerCase()),
    );
  const text = words.join(" ");
  const speaks = words.some(
    (word) => !programWords.has(word.toLowerCase()) && !linkWords.has(word.toLowerCase()),
  );
  return speaks && /\p{L}{2}|\p{Script=Han}|\p{Script=Hangul}/u.test(text) ? text : "";
}
