/** Pairing media with captions, and what captions become. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeText, makeCaption, pairFiles } from "./pair.ts";

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
  );
  expect(media.map(({ file }) => file.path)).toEqual(["a.mp4"]);
  expect(ignored.map(({ file, reason }) => [file.path, reason])).toEqual([
    ["__MACOSX/._a.mp4", "left behind by an operating system"],
    [".DS_Store", "left behind by an operating system"],
    ["sub/.hidden/b.mp4", "left behind by an operating system"],
    ["Thumbs.db", "left behind by an operating system"],
    ["a.mp4", "a second file of the same name"],
    ["inner.zip", "an archive inside the dataset is not opened"],
    ["notes.pdf", "neither a video, an image nor a caption"],
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
  const extension = fc.constantFrom("mp4", "txt", "TXT", "png", "zip", "db");
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

test.each([
  ["a red cube", "TOK", "TOK a red cube"],
  ["TOK a red cube", "TOK", "TOK a red cube"],
  ["a TOK, spinning", "TOK", "a TOK, spinning"],
  ["a TOKEN", "TOK", "TOK a TOKEN"],
  ["a tok cube", "TOK", "TOK a tok cube"],
  ["  a\r\n red \n cube ", "", "a red cube"],
  ["in the style of x+y", "x+y", "in the style of x+y"],
])("caption %j with trigger %j becomes %j", (text, trigger, expected) => {
  expect(makeCaption(text, trigger, "a.mp4")).toEqual({ text: expected, source: "text file" });
});

test("without text the trigger phrase is the caption, and the cleaned name without one", () => {
  expect(makeCaption(undefined, " TOK ", "a.mp4")).toEqual({ text: "TOK", source: "trigger phrase" });
  expect(makeCaption(" \n ", "TOK", "a.mp4")).toEqual({ text: "TOK", source: "trigger phrase" });
  const named = (path: string) => makeCaption(undefined, "", path);
  expect(named("x/Red-cube_spinning.03.mp4")).toEqual({ text: "Red cube spinning", source: "file name" });
  expect(named("dancing cat (2).mov").text).toBe("dancing cat");
  expect(named("blue ball/0001.png").text).toBe("blue ball");
  expect(named("0001.png").text).toBe("");
});

test("adding a trigger twice changes nothing", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string({ minLength: 1 }), (text, trigger) => {
      const once = makeCaption(text, trigger, "a.mp4").text;
      expect(makeCaption(once, trigger, "a.mp4").text).toBe(once);
    }),
  );
});

test("reads text of common encodings", () => {
  expect(decodeText(new TextEncoder().encode("\uFEFFcafé"))).toBe("café");
  expect(decodeText(Uint8Array.from([0xff, 0xfe, 0x63, 0, 0xe9, 0]))).toBe("cé");
  expect(decodeText(Uint8Array.from([0xfe, 0xff, 0, 0x63, 0, 0xe9]))).toBe("cé");
  expect(decodeText(Uint8Array.from([0x63, 0xe9]))).toBe("cé");
});
