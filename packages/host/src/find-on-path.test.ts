/** Which program a name means. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findOnPath } from "./find-on-path.ts";

const folder = mkdtempSync(join(tmpdir(), "ltx-path-"));
const [first, second] = [join(folder, "first"), join(folder, "second")];

beforeAll(() => {
  for (const path of [first, second]) mkdirSync(path);
  writeFileSync(join(second, "tool"), "");
  chmodSync(join(second, "tool"), 0o755);
});
afterAll(() => rmSync(folder, { recursive: true }));

test("the first folder that has it wins, and empty parts are no folder", () => {
  expect(findOnPath("tool", `:${first}:${second}:`)).toBe(join(second, "tool"));
  writeFileSync(join(first, "tool"), "");
  chmodSync(join(first, "tool"), 0o755);
  expect(findOnPath("tool", `${first}:${second}`)).toBe(join(first, "tool"));
});

test("what is missing is not found, by name or by path", () => {
  expect(findOnPath("tool", "")).toBeUndefined();
  expect(findOnPath("none", `${first}:${second}`)).toBeUndefined();
  expect(findOnPath(join(second, "none"))).toBeUndefined();
  expect(findOnPath(join(second, "tool"), "")).toBe(join(second, "tool"));
});
