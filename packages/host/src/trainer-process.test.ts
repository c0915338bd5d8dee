/** Starting and stopping the trainer: what it is given beside its job, and what is said when that fails. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { startTrainer } from "./trainer-process.ts";

afterEach(() => void vi.unstubAllEnvs());

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "ltx-launcher-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const run = { command: "train", job: {}, onEvent: () => {}, onNoise: () => {} } as const;

test("a temporary folder that cannot be written is named", () => {
  vi.stubEnv("LTX_TRAINER_PROGRAM", process.execPath);
  vi.stubEnv("TMPDIR", "/dev/null/tmp");
  expect(() => startTrainer(run)).toThrow("temporary folder: /dev/null/tmp cannot be written (ENOTDIR)");
});

test("a trainer that hears no signal sees the stop file, and none of an earlier run", async () => {
  const folder = temporaryFolder();
  const program = join(folder, "trainer.mjs");
  const failed = { type: "failed", code: "interrupted", message: "seen", retryable: true, exitCode: 130 };
  writeFileSync(
    program,
    `import { existsSync } from "node:fs";
     process.on("SIGINT", () => {});
     const stop = process.argv[3] + ".stop";
     console.log(JSON.stringify({ type: "log", level: "info", message: existsSync(stop) ? "stale" : "ready" }));
     setInterval(() => {
       if (!existsSync(stop)) return;
       console.log(${JSON.stringify(JSON.stringify(failed))});
       process.exit(130);
     }, 10);`,
  );
  vi.stubEnv("LTX_TRAINER_PROGRAM", program);
  const jobFile = join(folder, "job.json");
  writeFileSync(`${jobFile}.stop`, "");
  const said: string[] = [];
  const trainer = startTrainer({
    ...run,
    jobFile,
    onEvent: (event) => {
      if (event.type !== "log") return;
      said.push(event.message);
      trainer.stop();
    },
  });
  await expect(trainer.outputs).rejects.toMatchObject({ code: "interrupted", message: "seen" });
  expect(said).toEqual(["ready"]);
  expect(existsSync(`${jobFile}.stop`)).toBe(false);
});

test("links that an earlier trainer left in place of the job file and the stop file are not followed", async () => {
  const folder = temporaryFolder();
  const program = join(folder, "trainer.mjs");
  writeFileSync(
    program,
    `import { symlinkSync } from "node:fs";
     symlinkSync(${JSON.stringify(join(folder, "victim"))}, process.argv[3] + ".stop");
     console.log(JSON.stringify({ type: "log", level: "info", message: "ready" }));
     process.on("SIGINT", () => process.exit(1));
     setInterval(() => {}, 1000);`,
  );
  vi.stubEnv("LTX_TRAINER_PROGRAM", program);
  const jobFile = join(folder, "job.json");
  writeFileSync(join(folder, "victim"), "untouched");
  for (const path of [jobFile, `${jobFile}.stop`]) symlinkSync(join(folder, "victim"), path);
  const trainer = startTrainer({ ...run, jobFile, onEvent: () => trainer.stop() });
  await expect(trainer.outputs).rejects.toMatchObject({ code: "interrupted" });
  expect(readFileSync(join(folder, "victim"), "utf8")).toBe("untouched");
  expect(lstatSync(jobFile).isFile()).toBe(true);
});

test("job folders of commands that were killed long ago are removed", async () => {
  const folder = temporaryFolder();
  const program = join(folder, "trainer.mjs");
  writeFileSync(program, "process.exit(3);");
  vi.stubEnv("LTX_TRAINER_PROGRAM", program);
  vi.stubEnv("TMPDIR", folder);
  const dead = spawnSync("true").pid;
  const old = new Date(Date.now() - 2 * 60 * 60_000);
  const names = [
    `ltx-trainer-job-${dead}-old`,
    `ltx-trainer-job-${dead}-new`,
    `ltx-trainer-job-${process.pid}-old`,
  ];
  for (const name of names) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "job.json"), "{}");
    if (name.endsWith("old")) utimesSync(join(folder, name), old, old);
  }
  await expect(startTrainer(run).outputs).rejects.toMatchObject({ code: "trainer_died" });
  expect(readdirSync(folder).sort()).toEqual([...names.slice(1), "trainer.mjs"].sort());
});
