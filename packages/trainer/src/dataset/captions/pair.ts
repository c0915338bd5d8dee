/**
 * Which file is the caption or the reference of which. No reading here: names in, decisions out.
 *
 * A caption is a `.txt` or `.caption` in the same folder, of the medium's base name (`cat.txt`) or its whole name
 * (`cat.mp4.txt`); a reference is the medium whose base name has `.reference` at its end. How accents are composed never
 * matters, and upper and lower case may differ when nothing else fits.
 */
import { extensionOf, fileKind, isJunk, withoutExtension } from "../../media/media-kinds.ts";

type Named = {
  readonly path: string;
  /** Why it cannot be read. */
  readonly refusal?: string | undefined;
};

export type Pairing<File extends Named> = {
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

/** What the caption of a medium may be called, the first that is there counts. */
export function captionNames(path: string): string[] {
  return [withoutExtension(path), path].flatMap((base) => [`${base}.txt`, `${base}.caption`]);
}

/**
 * Sorts files into media with their companions and the rest. Order is kept.
 *
 * @param options.references look for references; else files named like one are media like any other
 */
export function pairFiles<File extends Named>(
  files: readonly File[],
  options: { readonly references: boolean } = { references: false },
): Pairing<File> {
  const companions = new Companions(files, options.references);
  const media: Pairing<File>["media"][number][] = [];
  const ignored: { file: File; reason: string }[] = [];
  const seen = new Set<string>();
  for (const file of files) {
    const kind = fileKind(file.path);
    if (isJunk(file.path)) ignored.push({ file, reason: junkReason(file.path) });
    else if (seen.has(file.path)) ignored.push({ file, reason: "a second file of the same name" });
    else if (companions.all.has(file)) seen.add(file.path);
    else if (kind === "video" || kind === "image") media.push({ file, kind, ...companions.of(file, kind) });
    else ignored.push({ file, reason: file.refusal ?? otherReason(file.path) });
    seen.add(file.path);
  }
  const names = new MediaNames(media);
  for (const file of companions.unused()) {
    ignored.push({ file, reason: file.refusal ?? names.whyUnused(file.path) });
  }
  return { media, ignored };
}

function junkReason(path: string): string {
  const own = path.split("/").find((part) => part.startsWith(".") && !/^\.(_|DS_Store$)/.test(part));
  return own === undefined || path.includes("__MACOSX/")
    ? "left behind by an operating system"
    : `hidden: ${own} begins with a dot`;
}

function otherReason(path: string): string {
  const extension = extensionOf(path);
  if (/^\.(zip|7z|rar|tar|gz|tgz)$/.test(extension)) return "an archive inside the dataset is not opened";
  if (/^\.(csv|tsv|jsonl?|ndjson|parquet|ya?ml|toml|xml)$/.test(extension)) {
    return "a list or record: captions are read from .txt files only, one per video or image and of the same name";
  }
  if (/^\.(docx?|odt|rtf|pdf|md|pages)$/.test(extension)) {
    return "a document: only a .txt of the same name as a video or image is a caption";
  }
  if (/^\.(srt|vtt|ass|ssa|sub)$/.test(extension)) return "subtitles are not used as captions";
  return "neither a video, an image nor a caption";
}

type Medium<File> = {
  readonly file: File;
  readonly caption: File | undefined;
  readonly reference: File | undefined;
};

/** Finds what a companion nobody asked for was meant for. */
class MediaNames<File extends Named> {
  readonly #beside = new Map<string, Medium<File>[]>();
  readonly #anywhere = new Map<string, Medium<File>>();

  constructor(media: readonly Medium<File>[]) {
    for (const medium of media) {
      for (const name of [medium.file.path, withoutExtension(medium.file.path)]) {
        const key = foldName(name);
        this.#beside.set(key, [...(this.#beside.get(key) ?? []), medium]);
        this.#anywhere.set(lastPart(key), medium);
      }
    }
  }

  whyUnused(path: string): string {
    const base = foldName(withoutExtension(path));
    const isReference = fileKind(path) !== "caption";
    const name = isReference ? base.slice(0, -referenceEnding.length) : base;
    const beside = this.#beside.get(name) ?? [];
    const [first] = beside;
    const own = isReference ? first?.reference : first?.caption;
    if (first !== undefined && own !== undefined) {
      const what = isReference ? "reference" : "caption";
      return `${lastPart(first.file.path)} has another ${what}: ${lastPart(own.path)}`;
    }
    if (first !== undefined)
      return `${lastPart(first.file.path)} could take this file or another one: their names differ only in case`;
    const elsewhere = this.#anywhere.get(lastPart(name));
    if (elsewhere === undefined) return "no video or image of this name in its folder";
    return `no video or image of this name in its folder; ${elsewhere.file.path} lies in another one`;
  }
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Captions and references, and who asked for them. */
class Companions<File extends Named> {
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
    const caption = this.#captions.find(base) ?? this.#captions.find(path);
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

/** Exact names first, then those composed of other characters; other cases only if exactly one file fits. */
class ByName<File extends Named> {
  readonly #exact = new Map<string, File>();
  readonly #composed = new Map<string, File>();
  readonly #folded = new Map<string, File[]>();

  /** `.txt` before others of one name. */
  constructor(files: readonly File[]) {
    const sorted = [...files.filter(isText), ...files.filter((file) => !isText(file))];
    for (const file of sorted) {
      const base = withoutExtension(file.path);
      if (!this.#exact.has(base)) this.#exact.set(base, file);
      const composed = base.normalize("NFC");
      if (!this.#composed.has(composed)) this.#composed.set(composed, file);
      const folded = foldName(base);
      this.#folded.set(folded, [...(this.#folded.get(folded) ?? []), file]);
    }
  }

  find(base: string): File | undefined {
    const exact = this.#exact.get(base) ?? this.#composed.get(base.normalize("NFC"));
    if (exact !== undefined) return exact;
    const similar = this.#folded.get(foldName(base)) ?? [];
    const [first] = similar;
    const names = new Set(similar.map(({ path }) => withoutExtension(path)));
    return names.size === 1 ? first : undefined;
  }
}

function isText({ path }: { readonly path: string }): boolean {
  return extensionOf(path) === ".txt";
}

/** Equal for names that differ in case or in how their accents are composed: macOS stores `e` and the accent apart. */
function foldName(path: string): string {
  return path.normalize("NFC").toLowerCase().normalize("NFC");
}
