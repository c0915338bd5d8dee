/** Default folders, and what is an address. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { defaultOutput, freeName, isAddress } from "./places.ts";

test.each([
  ["data/cakes.zip", "cakes-lora"],
  ["data/cakes/", "cakes-lora"],
  ["https://example.com/a/cakes.zip?signature=x/y", "cakes-lora"],
  ["data:application/zip;base64,AAAA", "my-lora"],
  ["..", "my-lora"],
  ["https://example.com/", "example-lora"],
  ["my cakes.zip", "my-lora"],
])("the output folder of %s is %s", (source, folder) => {
  expect(defaultOutput(source)).toBe(folder);
});

test("addresses are told from paths", () => {
  for (const address of ["http://a/b", "https://a", "data:x,y", "file:///a", "s3://a/b"])
    expect(isAddress(address)).toBe(true);
  for (const path of ["a.zip", "/a/b", "./c:d", "C.zip", "a/http:/b"]) expect(isAddress(path)).toBe(false);
});

test("a video without a name takes the first one that is free", () => {
  const folder = mkdtempSync(join(tmpdir(), "free-name-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const expected of ["video.mp4", "video-2.mp4", "video-3.mp4"]) {
    const path = freeName(folder, "video", ".mp4");
    expect(path).toBe(join(folder, expected));
    writeFileSync(path, "");
  }
});
