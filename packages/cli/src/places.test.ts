/** Default folders, and what is an address. */
import { expect, test } from "vitest";
import { defaultOutput, isAddress } from "./places.ts";

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
