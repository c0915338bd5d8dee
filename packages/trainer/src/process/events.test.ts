/** Events reach a slow reader whole, without burning a core. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../media/testing/media.ts";
import { writeAll } from "./events.ts";

test("a reader that is behind is waited for, asleep, and gets every byte", async () => {
  const folder = temporaryFolder();
  const [pipe, copy] = [join(folder, "pipe"), join(folder, "copy")];
  execFileSync("mkfifo", [pipe]);
  const descriptor = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
  const reader = spawn("sh", ["-c", 'sleep 1; head -c 300000 "$0" > "$1"', pipe, copy]);
  const ended = once(reader, "exit");
  const before = process.cpuUsage();
  expect(writeAll(descriptor, bytes)).toBe(true);
  const { user, system } = process.cpuUsage(before);
  await ended;
  closeSync(descriptor);
  expect(readFileSync(copy).equals(bytes)).toBe(true);
  // In microseconds of processor time; spinning would take the whole second.
  expect(user + system).toBeLessThan(500_000);
});

test("a reader that is gone is told from one that is behind", () => {
  const descriptor = openSync("/dev/null", "r");
  expect(writeAll(descriptor, Buffer.from("x"))).toBe(false);
  closeSync(descriptor);
});
