/** What captions become. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { makeCaption, readWords } from "./captions.ts";

test.each([
  ["a red cube", "TOK", "TOK a red cube"],
  ["TOK a red cube", "TOK", "TOK a red cube"],
  ["a TOK, spinning", "TOK", "a TOK, spinning"],
  ["a TOKEN", "TOK", "TOK a TOKEN"],
  ["a tok cube", "TOK", "TOK a tok cube"],
  ["  a\r\n red \n cube ", "", "a red cube"],
  ["in the style of x+y", "x+y", "in the style of x+y"],
  ["[trigger] walking in a park", "TOK", "TOK walking in a park"],
  ["a photo of [Trigger], [trigger]", "a $& b", "a photo of a $& b, a $& b"],
  ["a\0 red\u0007\u0092 cube\u200b", "", "a red cube"],
  ["a T\u200bOK \u202ewalks\u202c", "TOK", "a TOK walks"],
  ["a \u{1f469}\u200d\u{1f467} family", "", "a \u{1f469}\u200d\u{1f467} family"],
  ["a cat\n[man walking]", "", "a cat [man walking]"],
  ["\u001b[1;31ma red\u001b[0m cube", "", "a red cube"],
  ["cafe\u0301", "caf\u00e9", "caf\u00e9"],
])("caption %j with trigger %j becomes %j", (text, trigger, expected) => {
  expect(makeCaption(text, trigger, "a.mp4")).toMatchObject({
    text: expected,
    source: "text file",
    notes: [],
  });
});

test("without text the trigger phrase is the caption, and the cleaned name without one", () => {
  expect(makeCaption(undefined, " TOK ", "a.mp4")).toMatchObject({ text: "TOK", source: "trigger phrase" });
  expect(makeCaption(" \n ", "TOK", "a.mp4")).toMatchObject({ text: "TOK", source: "trigger phrase" });
  const named = (path: string) => makeCaption(undefined, "", path);
  expect(named("x/Red-cube_spinning.03.mp4")).toMatchObject({
    text: "Red cube spinning",
    source: "file name",
  });
  expect(named("dancing cat (2).mov").text).toBe("dancing cat");
  expect(named("blue ball/0001.png").text).toBe("blue ball");
  expect(named("0001.png")).toMatchObject({ text: "", source: "none" });
});

test("adding a trigger twice changes nothing", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string({ minLength: 1 }), (text, trigger) => {
      const once = makeCaption(text, trigger, "a.mp4").text;
      expect(makeCaption(once, trigger, "a.mp4").text).toBe(once);
    }),
  );
});

test("[trigger] without a trigger phrase is left out, and that is noted", () => {
  expect(makeCaption("[trigger], a man walks", "", "a.mp4")).toEqual({
    text: "a man walks",
    source: "text file",
    notes: ["[trigger] is left out: there is no trigger phrase"],
  });
  expect(makeCaption("[trigger]", "", "a.mp4")).toMatchObject({ text: "", source: "none" });
});

test.each([
  ...[
    "IMG_0042.MOV",
    "VID_20240501_123456.mp4",
    "DJI_0001_D.mp4",
    "DSC00012.jpg",
    "GOPR0123.mp4",
    "GX010042.MP4",
  ],
  ...[
    "PXL_20240501_123456789.MP.jpg",
    "MVI_1234.avi",
    "P1010023.jpg",
    "WhatsApp Video 2024-05-01 at 12.33.44.mp4",
  ],
  ...[
    "VID-20240501-WA0003.mp4",
    "Screenshot 2024-05-01 at 12.33.44 PM.png",
    "Screen Recording 2024-05-01.mov",
  ],
  ...[
    "2024-05-01 12.33.44.mp4",
    "1 May 2024.mp4",
    "untitled (3).mp4",
    "a1b2c3d4e5f60718.png",
    "微信图片_20240501.jpg",
  ],
  ...[
    "3f2b8c1e-9d4a-4b7c-8e21-0a1b2c3d4e5f.mp4",
    "DCIM/100APPLE/IMG_0042.MOV",
    "clips/clip 01.mp4",
    "final_export.mp4",
  ],
])("%s is the name of a file and no caption", (path) => {
  expect(makeCaption(undefined, "", path)).toEqual({
    text: "",
    source: "none",
    notes: ["its name says nothing about what it shows, so it trains without a caption"],
  });
  expect(makeCaption(undefined, "TOK", path)).toEqual({ text: "TOK", source: "trigger phrase", notes: [] });
});

test.each([
  ["red cube/IMG_0042.MOV", "red cube"],
  ["IMG_0042_red cube.mov", "red cube"],
  ["video of a cat.mp4", "video of a cat"],
  ["screen test of an actress 01.mp4", "screen test of an actress"],
  ["4k city at night.mp4", "4k city at night"],
  ["caf\u0065\u0301.mp4", "caf\u00e9"],
  ["猫.mp4", "猫"],
])("%s says %j", (path, text) => {
  expect(makeCaption(undefined, "", path)).toMatchObject({ text, source: "file name" });
});

// The time grows with the length alone: with its square, each of these would take minutes.
test.each([
  ["digits", `${"1".repeat(300_000)}~.mp4`],
  ["letters and digits", `${"a1".repeat(150_000)}~.mp4`],
  ["hexadecimal digits", `${"ab".repeat(150_000)}~.mp4`],
  ["brackets", `${"(1".repeat(150_000)}~.mp4`],
])("a name of three hundred thousand %s is read in one pass", (_, path) => {
  expect(makeCaption(undefined, "TOK", path).text).toBe("TOK");
  expect(makeCaption(undefined, "", path).source).toMatch(/^(file name|none)$/);
});

test("a caption of marks that nobody sees is an empty one", () => {
  expect(makeCaption("\u200b\u200d\ufeff", "TOK", "a.mp4").source).toBe("trigger phrase");
});

test.each([
  ["{\\rtf1\\ansi\\f0 a red cat\\par}", "an RTF document"],
  ["\ufeff\n<!DOCTYPE html><html>404</html>", "a web page"],
  [
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
    "a Git LFS pointer (run `git lfs pull`)",
  ],
  ["%PDF-1.7 a cat", "a PDF"],
  ["PK\u0003\u0004\u0014\0\u0006\0word/document.xml", "an office document or archive"],
])("%j is no caption", (content, kind) => {
  expect(readWords(Buffer.from(content))).toEqual({
    text: "",
    note: `got ${kind}, expected plain text, so it is not used`,
  });
});
