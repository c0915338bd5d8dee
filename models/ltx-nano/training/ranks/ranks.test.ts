/** Real processes average their gradients. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const program = join(import.meta.dirname, "testing/average.ts");
const folder = mkdtempSync(join(tmpdir(), "ranks-"));
afterAll(() => rmSync(folder, { recursive: true }));

function run(ranks: number) {
  const args = ["--conditions=source", "--import", "tsx", program, `${ranks}`];
  return spawnSync(process.execPath, args, { encoding: "utf8", env: { ...process.env, TMPDIR: folder } });
}

test("every rank gets the mean, step after step, and all end when rank 0 says so, leaving nothing behind", () => {
  expect(run(3)).toMatchObject({ status: 0, stdout: "1,1\n11,1\n21,1\n" });
  expect(readdirSync(folder).filter((name) => name.startsWith("ltx-nano-"))).toEqual([]);
});

test("one rank needs no others", () => {
  expect(run(1)).toMatchObject({ status: 0, stdout: "0,0\n10,0\n20,0\n" });
});
