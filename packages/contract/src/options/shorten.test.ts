/** What is repeated of a client's input: small values as they are, large ones bounded in every direction. */
import { expect, test } from "vitest";
import { withoutCredentials } from "../secrets.ts";
import { shorten } from "./shorten.ts";

test.each([
  7,
  null,
  true,
  "a",
  [],
  {},
  { training_data_url: "https://a.example/x.zip?b=1", validation: [{ prompt: "a", nested: { deep: [1] } }] },
  JSON.parse('{"__proto__": {"a": 1}}'),
])("%j is small and stays as it is", (value) => {
  expect(shorten(value)).toEqual(value);
  expect(JSON.stringify(shorten(value))).toBe(JSON.stringify(value));
});

const nested = (depth: number) => JSON.parse(`${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`);

test.each([
  ["a long string", "x".repeat(5_000_000)],
  ["many long strings", Array.from({ length: 40 }, () => "x".repeat(100_000))],
  ["many items", Array.from({ length: 1_000_000 }, () => ({}))],
  ["many keys", Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`key${index}`, index]))],
  ["long keys", { ["k".repeat(1_000_000)]: 1, ["l".repeat(1_000_000)]: 2 }],
  ["wide and deep", Array.from({ length: 50 }, () => Array.from({ length: 50 }, () => Array(50).fill("x")))],
  ["nesting", nested(5_000)],
])("%s is cut to some KiB", (_name, value) => {
  expect(JSON.stringify(shorten(value)).length).toBeLessThan(16_000);
});

test("what was cut is said", () => {
  expect(shorten("x".repeat(501))).toBe(`${"x".repeat(500)}... (501 characters)`);
  expect(shorten(Array(60).fill(1))).toEqual([...Array(50).fill(1), "... (60 items)"]);
});

test("credentials in addresses are replaced, also deep inside", () => {
  const url = "http://user:s3cret@host.example/x.zip";
  expect(shorten({ a: [url] })).toEqual({ a: ["http://[secret]@host.example/x.zip"] });
  expect(shorten(`${"x".repeat(480)}http://user:s3cret@host.example/`)).toMatch(/^x+http:\/\/\.\.\. \(/);
  expect(withoutCredentials(`fetch ${url} and s3://k:s@h@b/`)).toBe(
    "fetch http://[secret]@host.example/x.zip and s3://[secret]@b/",
  );
  expect(withoutCredentials("mail a@b.example, see http://h.example/@b")).toBe(
    "mail a@b.example, see http://h.example/@b",
  );
});
