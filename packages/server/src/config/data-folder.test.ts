/** The data folder is closed to other accounts, and a folder with other things in it is left as it is. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeDataFolder, trainerAccount } from "./data-folder.ts";

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "ltx-data-folder-"));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

const isRoot = process.getuid?.() === 0;
const closed = isRoot ? 0o710 : 0o700;
const modeOf = (path: string) => statSync(path).mode & 0o777;

test("a new one is closed; under root the group of trainers may pass through", () => {
  const home = join(scratch, "new");
  makeDataFolder(home);
  expect(modeOf(home).toString(8)).toBe(closed.toString(8));
  if (isRoot) expect(statSync(home)).toMatchObject({ uid: 0, gid: trainerAccount().gid });
});

test("one of an earlier version is closed", () => {
  const home = join(scratch, "old");
  for (const name of ["files", "requests", "cache"]) mkdirSync(join(home, name), { recursive: true });
  chmodSync(home, 0o755);
  makeDataFolder(home);
  expect(modeOf(home).toString(8)).toBe(closed.toString(8));
});

test("one that holds other things than ours keeps its mode", () => {
  const home = join(scratch, "shared");
  mkdirSync(home);
  writeFileSync(join(home, "thesis.txt"), "");
  chmodSync(home, 0o755);
  makeDataFolder(home);
  expect(modeOf(home).toString(8)).toBe("755");
});

test.runIf(isRoot)(
  "one that another account owns, as a mounted volume is, is used with its mode as it is",
  () => {
    const home = join(scratch, "volume");
    mkdirSync(join(home, "files"), { recursive: true });
    for (const path of [scratch, home, join(home, "files")]) chmodSync(path, 0o777);
    process.seteuid?.(65_534);
    try {
      makeDataFolder(home);
    } finally {
      process.seteuid?.(0);
    }
    expect(modeOf(home).toString(8)).toBe("777");
  },
);
