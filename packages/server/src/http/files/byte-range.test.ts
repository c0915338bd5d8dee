/** The Range header: what is understood, what is ignored, what cannot be satisfied. */
import { expect, test } from "vitest";
import { parseRange } from "./byte-range.ts";

test.each([
  ["bytes=0-0", 10, { first: 0, last: 0 }],
  ["bytes=2-5", 10, { first: 2, last: 5 }],
  ["bytes=2-", 10, { first: 2, last: 9 }],
  ["bytes=2-100", 10, { first: 2, last: 9 }],
  ["bytes=-3", 10, { first: 7, last: 9 }],
  ["bytes=-30", 10, { first: 0, last: 9 }],
  ["BYTES= 1-2", 10, { first: 1, last: 2 }],
  ["bytes=10-", 10, "none"],
  ["bytes=99-100", 10, "none"],
  ["bytes=-0", 10, "none"],
  ["bytes=0-", 0, "none"],
  ["bytes=-1", 0, "none"],
  ["bytes=5-2", 10, undefined],
  ["bytes=0-1,3-4", 10, undefined],
  ["bytes=-", 10, undefined],
  ["bytes=a-b", 10, undefined],
  ["lines=0-1", 10, undefined],
  ["bytes=99999999999999999999-", 10, undefined],
  [undefined, 10, undefined],
])("%s of %d bytes", (header, size, range) => {
  expect(parseRange(header, size)).toEqual(range);
});
