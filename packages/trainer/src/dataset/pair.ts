/**
 * Which file is the caption or the reference of which, and what the caption says. No reading here: names and texts in,
 * decisions out.
 *
 * A caption is the `.txt` of the same base name in the same folder; a reference is the medium whose base name has
 * `.reference` at its end. Upper and lower case may differ when nothing else fits.
 */
import { extensionOf, fileKind, isJunk, withoutExtension } from "./media-kinds.ts";

export type Pairing<File extends { readonly path: string }> = {
  readonly media: readonly {
    readonly file: File;
    readonly kind: "video" | "image";
    readonly caption: File | undefined;
    readonly reference: File | undefined;
  }[];
  /** Files that take no part, with the reason. */
  readonly ignored: readonly { readonly file: File; readonly reason: string }[];
};

/** Whether a medium is named as a reference is: `cat.reference.mp4`. */
export function isNamedReference(path: string): boolean {
  return withoutExtension(path).toLowerCase().endsWith(referenceEnding);
}

const referenceEnding = ".reference";

/** What the reference of a medium is called: `cat.reference.mp4` for `cat.mp4`. */
export function referenceName(path: string): string {
  return `${withoutExtension(path)}${referenceEnding}${extensionOf(path)}`;
}

/**
 * Sorts files into media with their companions and the rest. Order is kept.
 *
 * @param options.references look for references; else files named like one are media like any other
 */
export function pairFiles<File extends { readonly path: string }>(
  files: readonly File[],
  options: { readonly references: boolean } = { references: false },
): Pairing<File> {
  const companions = new Companions(files, options.references);
  const media: Pairing<File>["media"][number][] = [];
  const ignored: { file: File; reason: string }[] = [];
  const seen = new Set<string>();
  for (const file of files) {
    const kind = fileKind(file.path);
    if (isJunk(file.path)) ignored.push({ file, reason: "left behind by an operating system" });
    else if (seen.has(file.path)) ignored.push({ file, reason: "a second file of the same name" });
    else if (companions.all.has(file)) continue;
    else if (kind === "video" || kind === "image") media.push({ file, kind, ...companions.of(file, kind) });
    else ignored.push({ file, reason: otherReason(file.path) });
    seen.add(file.path);
  }
  for (const file of companions.unused()) {
    ignored.push({ file, reason: "no video or image of this name in its folder" });
  }
  return { media, ignored };
}

function otherReason(path: string): string {
  return /\.(zip|7z|rar|tar|gz|tgz)$/i.test(path)
    ? "an archive inside the dataset is not opened"
    : "neither a video, an image nor a caption";
}

/** Captions and references, and who asked for them. */
class Companions<File extends { readonly path: string }> {
  readonly all: ReadonlySet<File>;
  readonly #captions: ByName<File>;
  readonly #references: { readonly video: ByName<File>; readonly image: ByName<File> };
  readonly #used = new Set<File | undefined>();

  constructor(files: readonly File[], wantsReferences: boolean) {
    const firsts = new Map(files.toReversed().map((file) => [file.path, file]));
    const sound = files.filter((file) => firsts.get(file.path) === file && !isJunk(file.path));
    const captions = sound.filter((file) => fileKind(file.path) === "caption");
    const ofKind = (kind: "video" | "image") =>
      sound.filter(({ path }) => wantsReferences && fileKind(path) === kind && isNamedReference(path));
    const [videos, images] = [ofKind("video"), ofKind("image")];
    this.all = new Set([...captions, ...videos, ...images]);
    this.#captions = new ByName(captions);
    this.#references = { video: new ByName(videos), image: new ByName(images) };
  }

  of({ path }: File, kind: "video" | "image") {
    const base = withoutExtension(path);
    const caption = this.#captions.find(base);
    const other = kind === "video" ? "image" : "video";
    const name = base + referenceEnding;
    const reference = this.#references[kind].find(name) ?? this.#references[other].find(name);
    this.#used.add(caption).add(reference);
    return { caption, reference };
  }

  unused(): File[] {
    return [...this.all].filter((file) => !this.#used.has(file));
  }
}

/** Exact names first; other cases only if exactly one file fits. */
class ByName<File extends { readonly path: string }> {
  readonly #exact = new Map<string, File>();
  readonly #folded = new Map<string, File[]>();

  constructor(files: readonly File[]) {
    for (const file of files) {
      const base = withoutExtension(file.path);
      if (!this.#exact.has(base)) this.#exact.set(base, file);
      const folded = base.toLowerCase();
      this.#folded.set(folded, [...(this.#folded.get(folded) ?? []), file]);
    }
  }

  find(base: string): File | undefined {
    const similar = this.#folded.get(base.toLowerCase()) ?? [];
    return this.#exact.get(base) ?? (similar.length === 1 ? similar[0] : undefined);
  }
}

export type Caption = {
  readonly text: string;
  readonly source: "text file" | "trigger phrase" | "file name";
};

/**
 * The caption of one medium: its text with the trigger phrase in front, else the trigger phrase, else its cleaned name.
 *
 * @param text content of the caption file, undefined without one; an empty one counts as none
 */
export function makeCaption(text: string | undefined, triggerPhrase: string, mediaPath: string): Caption {
  const written = oneLine(text ?? "");
  const trigger = oneLine(triggerPhrase);
  if (written !== "") return { text: withTrigger(written, trigger), source: "text file" };
  if (trigger !== "") return { text: trigger, source: "trigger phrase" };
  return { text: cleanName(mediaPath), source: "file name" };
}

/** Already there means: as whole words and in the same case, since the text encoder tells cases apart. */
function withTrigger(caption: string, trigger: string): string {
  if (trigger === "") return caption;
  const escaped = trigger.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const asWords = new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, "u");
  return asWords.test(caption) ? caption : `${trigger} ${caption}`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** `Red-cube_spinning.03` becomes `Red cube spinning`; a name of digits gives way to its folder's, then to nothing. */
function cleanName(path: string): string {
  const names = withoutExtension(path).split("/").reverse();
  const cleaned = names.map((name) =>
    name
      .replace(/[_\-.+]+/g, " ")
      .replace(/\(\d+\)/g, " ")
      .replace(/(^|\s)\d+(?=\s|$)/g, " ")
      .replace(/\s+/g, " ")
      .trim(),
  );
  return cleaned.find((name) => /\p{L}{2}/u.test(name)) ?? "";
}

/** Text of a caption file: UTF-8 or UTF-16 by its mark, else UTF-8, else Windows-1252. */
export function decodeText(bytes: Uint8Array): string {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}
