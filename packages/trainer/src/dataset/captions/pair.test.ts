/** Pairing media with captions and references. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { pairFiles } from "./pair.ts";

const pair = (...paths: string[]) => pairFiles(paths.map((path) => ({ path })));
const captionsOf = (...paths: string[]) =>
  Object.fromEntries(pair(...paths).media.map(({ file, caption }) => [file.path, caption?.path]));

test("a caption is the text file of the same name in the same folder, at any depth", () => {
  expect(captionsOf("a.mp4", "a.txt", "x/y/b.mov", "x/y/b.txt", "x/c.png", "y/c.txt")).toEqual({
    "a.mp4": "a.txt",
    "x/y/b.mov": "x/y/b.txt",
    "x/c.png": undefined,
  });
});

test("names with dots and spaces pair by everything before the extension", () => {
  expect(captionsOf("a.b.mp4", "a.txt", "a.b.txt", "my clip (1).mp4", "my clip (1).txt")).toEqual({
    "a.b.mp4": "a.b.txt",
    "my clip (1).mp4": "my clip (1).txt",
  });
});

test("extensions are known in any case; names in another case only when one fits", () => {
  expect(captionsOf("A.MP4", "a.TXT")).toEqual({ "A.MP4": "a.TXT" });
  expect(captionsOf("Clip.mp4", "clip.txt", "CLIP.txt")).toEqual({ "Clip.mp4": undefined });
  expect(captionsOf("Clip.mp4", "clip.txt", "Clip.txt")).toEqual({ "Clip.mp4": "Clip.txt" });
});

test("names pair however their accents are composed", () => {
  const composed = "caf\u00e9 \ud55c\uae00";
  const apart = composed.normalize("NFD");
  expect(apart).not.toBe(composed);
  expect(captionsOf(`${composed}.mp4`, `${apart}.txt`)).toEqual({ [`${composed}.mp4`]: `${apart}.txt` });
  expect(captionsOf(`${apart}.mp4`, `${composed.toUpperCase()}.txt`)).toEqual({
    [`${apart}.mp4`]: `${composed.toUpperCase()}.txt`,
  });
  const both = captionsOf(`${composed}.mp4`, `${apart}.mp4`, `${apart}.txt`, `${composed}.txt`);
  expect(both).toEqual({ [`${composed}.mp4`]: `${composed}.txt`, [`${apart}.mp4`]: `${apart}.txt` });
});

test("captions as other trainers name them: .caption, and the whole name with .txt; a plain .txt comes first", () => {
  expect(captionsOf("a.mp4", "a.caption", "b.mp4", "b.mp4.txt", "c.PNG", "c.png.caption")).toEqual({
    "a.mp4": "a.caption",
    "b.mp4": "b.mp4.txt",
    "c.PNG": "c.png.caption",
  });
  const { media, ignored } = pair("a.mp4", "a.caption", "a.mp4.txt", "a.txt");
  expect(media.map(({ caption }) => caption?.path)).toEqual(["a.txt"]);
  expect(ignored.map(({ file, reason }) => [file.path, reason])).toEqual([
    ["a.caption", "a.mp4 has another caption: a.txt"],
    ["a.mp4.txt", "a.mp4 has another caption: a.txt"],
  ]);
});

test("why a caption or reference is unused is true", () => {
  const reasonsOf = (references: boolean, ...paths: string[]) => {
    const files = paths.map((path) => ({ path }));
    return pairFiles(files, { references }).ignored.map(({ file, reason }) => [file.path, reason]);
  };
  expect(reasonsOf(false, "Clip.mp4", "clip.txt", "CLIP.txt")).toEqual([
    ["clip.txt", "Clip.mp4 could take this file or another one: their names differ only in case"],
    ["CLIP.txt", "Clip.mp4 could take this file or another one: their names differ only in case"],
  ]);
  expect(reasonsOf(false, "videos/a.mp4", "captions/a.txt", "captions/b.txt")).toEqual([
    ["captions/a.txt", "no video or image of this name in its folder; videos/a.mp4 lies in another one"],
    ["captions/b.txt", "no video or image of this name in its folder"],
  ]);
  expect(reasonsOf(true, "a.mp4", "a.reference.mp4", "a.reference.mov", "x/a.reference.mp4")).toEqual([
    ["a.reference.mov", "a.mp4 has another reference: a.reference.mp4"],
    ["x/a.reference.mp4", "no video or image of this name in its folder; a.mp4 lies in another one"],
  ]);
});

test("a video and an image of one name share their caption", () => {
  expect(captionsOf("a.mp4", "a.png", "a.txt")).toEqual({ "a.mp4": "a.txt", "a.png": "a.txt" });
});

test("everything else is ignored, with its reason", () => {
  const { media, ignored } = pair(
    "__MACOSX/._a.mp4",
    ".DS_Store",
    "sub/.hidden/b.mp4",
    "Thumbs.db",
    "a.mp4",
    "a.mp4",
    "lonely.txt",
    "inner.zip",
    "notes.pdf",
    "metadata.jsonl",
    "a.srt",
    "a.bin",
  );
  expect(media.map(({ file }) => file.path)).toEqual(["a.mp4"]);
  expect(ignored.map(({ file, reason }) => [file.path, reason])).toEqual([
    ["__MACOSX/._a.mp4", "left behind by an operating system"],
    [".DS_Store", "left behind by an operating system"],
    ["sub/.hidden/b.mp4", "hidden: .hidden begins with a dot"],
    ["Thumbs.db", "left behind by an operating system"],
    ["a.mp4", "a second file of the same name"],
    ["inner.zip", "an archive inside the dataset is not opened"],
    ["notes.pdf", "a document: only a .txt of the same name as a video or image is a caption"],
    [
      "metadata.jsonl",
      "a list or record: captions are read from .txt files only, one per video or image and of the same name",
    ],
    ["a.srt", "subtitles are not used as captions"],
    ["a.bin", "neither a video, an image nor a caption"],
    ["lonely.txt", "no video or image of this name in its folder"],
  ]);
});

test("a reference has .reference at the end of its name, in any case, and the kind of its medium if it can", () => {
  const paths = [
    "a.mp4",
    "a.png",
    "a.reference.mp4",
    "a.reference.png",
    "x/B.mov",
    "x/b.REFERENCE.webm",
    "c.mp4",
  ];
  const asked = pairFiles(
    [...paths, "d.reference.mp4"].map((path) => ({ path })),
    { references: true },
  );
  const found = Object.fromEntries(asked.media.map(({ file, reference }) => [file.path, reference?.path]));
  expect(found).toEqual({
    "a.mp4": "a.reference.mp4",
    "a.png": "a.reference.png",
    "x/B.mov": "x/b.REFERENCE.webm",
    "c.mp4": undefined,
  });
  expect(asked.ignored).toEqual([
    { file: { path: "d.reference.mp4" }, reason: "no video or image of this name in its folder" },
  ]);
  expect(pair(...paths).media.map(({ file }) => file.path)).toEqual(paths);
});

test("every file is accounted for exactly once", () => {
  const name = fc.constantFrom("a", "A", "a.reference", "A.reference", "b.c", ".x", "Thumbs");
  const extension = fc.constantFrom("mp4", "txt", "TXT", "mp4.txt", "caption", "png", "zip", "db");
  const folder = fc.constantFrom("", "x/", "__MACOSX/", "x/y/");
  const path = fc.tuple(folder, name, extension).map(([prefix, base, end]) => `${prefix}${base}.${end}`);
  fc.assert(
    fc.property(fc.uniqueArray(path), fc.boolean(), (paths, references) => {
      const { media, ignored } = pairFiles(
        paths.map((path) => ({ path })),
        { references },
      );
      const companions = media.flatMap(({ caption, reference }) => [caption?.path, reference?.path]);
      const found = [
        ...media.map(({ file }) => file.path),
        ...new Set(companions.filter((path) => path !== undefined)),
        ...ignored.map(({ file }) => file.path),
      ];
      expect(found.sort()).toEqual([...paths].sort());
    }),
  );
});

test("a second caption of the same name is called one", () => {
  const files = [{ path: "a.png" }, { path: "a.txt" }, { path: "a.txt" }];
  const { media, ignored } = pairFiles(files);
  expect(media[0]?.caption).toBe(files[1]);
  expect(ignored).toEqual([{ file: files[2], reason: "a second file of the same name" }]);
  expect(ignored[0]?.file).toBe(files[2]);
});
