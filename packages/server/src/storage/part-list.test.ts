/** What a client says an upload consists of, held against what came. */
import { describe, expect, test } from "vitest";
import { WireError } from "../wire/wire-error.ts";
import { checkPartList } from "./part-list.ts";

const stored = [
  { number: 1, sizeBytes: 10, etag: '"a"' },
  { number: 2, sizeBytes: 10, etag: '"b"' },
  { number: 3, sizeBytes: 4, etag: '"c"' },
];
const [one, two, three] = [
  { partNumber: 1, etag: '"a"' },
  { partNumber: 2, etag: '"b"' },
  { partNumber: 3, etag: '"c"' },
];

function refusalOf(list: unknown, parts = stored): string {
  try {
    checkPartList(list, parts);
  } catch (error) {
    expect(error).toBeInstanceOf(WireError);
    expect((error as WireError).status).toBe(400);
    return String(((error as WireError).body as { detail: string }).detail);
  }
  throw new Error("the list was taken");
}

test("parts are joined in the order of their numbers, however the list is ordered and etags are quoted", () => {
  const list = { parts: [{ partNumber: 3, etag: "c" }, one, { partNumber: 2, etag: 'W/"b"' }] };
  expect(checkPartList(list, stored).map(({ number }) => number)).toEqual([1, 2, 3]);
});

test("one part may be of any size, also empty", () => {
  expect(checkPartList({ parts: [one] }, [{ number: 1, sizeBytes: 0, etag: '"a"' }])).toHaveLength(1);
});

describe("a list is refused that", () => {
  test.each([
    ["is nothing", undefined, /^body: missing, expected a value of type object/],
    ["is a list", [one], /^body: got \[.*, expected a value of type object/],
    ["is empty", { parts: [] }, /^body: parts: got 0 items, expected at least 1/],
    ["has no etag", { parts: [{ partNumber: 1 }] }, /etag/],
    ["has a number that is none", { parts: [{ partNumber: "1", etag: "a" }] }, /partNumber/],
    ["names one twice", { parts: [one, one, two, three] }, /got part 1 where part 2/],
    ["has a gap", { parts: [one, three] }, /got part 3 where part 2/],
    ["starts late", { parts: [two, three] }, /got part 2 where part 1/],
    ["forgets the last", { parts: [one, two] }, /list of 2 parts, but 3 were uploaded/],
    [
      "names one that never came",
      { parts: [one, two, three, { partNumber: 4, etag: "d" }] },
      /part 4 was not/,
    ],
    ["has a wrong etag", { parts: [one, { partNumber: 2, etag: "x" }, three] }, /part 2: got etag x/],
  ])("%s", (_what, list, reason) => {
    expect(refusalOf(list)).toMatch(reason);
  });

  test.each([
    ["is empty in the middle", [10, 0, 4], /part 2 has 0 bytes, expected 10/],
    ["is short in the middle", [10, 9, 4], /part 2 has 9 bytes, expected 10/],
    ["is long in the middle", [10, 11, 4], /part 2 has 11 bytes, expected 10/],
    ["is empty at the end", [10, 10, 0], /part 3 has 0 bytes, expected 1 to 10/],
    ["is long at the end", [10, 10, 11], /part 3 has 11 bytes/],
  ])("has a part that %s", (_what, sizes, reason) => {
    const parts = stored.map((part, index) => ({ ...part, sizeBytes: sizes[index] ?? 0 }));
    expect(refusalOf({ parts: [one, two, three] }, parts)).toMatch(reason);
  });
});
