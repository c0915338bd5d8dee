/** `ltx-trainer serve` as a user runs it: the compiled command, the compiled service, a data folder of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test, vi } from "vitest";
import { processesWith } from "../testing/processes.ts";

// Starting a service is slow on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000 });

const command = fileURLToPath(new URL("../../bin/ltx-trainer.js", import.meta.url));

function start(args: readonly string[]): {
  readonly child: ChildProcess;
  readonly said: () => string;
  readonly home: string;
} {
  const home = mkdtempSync(join(tmpdir(), "ltx-serve-"));
  chmodSync(home, 0o755);
  const child = spawn(process.execPath, [command, "serve", "--home", home, "--port", "0", ...args], {
    env: { PATH: process.env.PATH, HOME: home, LOG_LEVEL: "warn", LTX_TRAINER_DEVICES: "" },
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (piece) => {
      text += piece;
    });
  }
  onTestFinished(() => {
    child.kill("SIGKILL");
    rmSync(home, { recursive: true, force: true });
  });
  return { child, said: () => text, home };
}

const ending = (child: ChildProcess) => new Promise((resolve) => child.once("close", resolve));

test("shows a key once, answers, and ends in good order when asked to", async () => {
  const { child, said, home } = start([]);
  await expect.poll(said, { timeout: 200_000 }).toMatch(/listens on http.*\n[\s\S]*export FAL_KEY=".+:.+"/);
  const url = /listens on (\S+)/.exec(said())?.[1];
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  child.kill("SIGTERM");
  expect(await ending(child)).toBe(0);
  expect(processesWith(home)).toEqual([]);
});

test("the service and its database do not outlive a command that is killed", async () => {
  const { child, said, home } = start([]);
  await expect.poll(said, { timeout: 200_000 }).toMatch(/listens on/);
  child.kill("SIGKILL");
  for (let waited = 0; processesWith(home).length > 0 && waited < 200_000; waited += 100) await delay(100);
  expect(processesWith(home)).toEqual([]);
});

test("--settings lists every variable with its default", async () => {
  const { child, said } = start(["--settings"]);
  expect(await ending(child)).toBe(0);
  expect(said()).toMatch(/^PORT \(default: 8000\)\n {4}Port/m);
  expect(said()).toMatch(/^DATABASE_URL\n/m);
});

test("a setting that cannot be is refused with the status of wrong usage", async () => {
  const { child, said } = start(["--devices", "gpu"]);
  expect(await ending(child)).toBe(2);
  expect(said()).toMatch(/LTX_TRAINER_DEVICES\[0\]: .*auto, cpu, cuda/);
});
