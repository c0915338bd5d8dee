/** Output folders: whose they are, who writes into them, and what is left alone. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { JobFolder, outputNames, writeJson } from "./job-folder.ts";
import { writeVideo } from "./media/encode-video.ts";
import { temporaryFolder } from "./media/testing/media.ts";

const fresh = { resume: false };
const plan = { base: { name: "ltx-nano", hash: "0f" }, optimizer: { name: "AdamW" }, steps: 4 };

function outputFolder(files: Readonly<Record<string, string>> = {}): string {
  const folder = join(temporaryFolder(), "out");
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

const listed = (folder: string) => (readdirSync(folder, { recursive: true }) as string[]).sort();

describe("a folder of the user's", () => {
  const own = { "notes.tmp/a.txt": "1", "work/film.mp4": "2", "plan.json": "{}", "config.json": "{}" };

  test.each([fresh, { resume: true }])(
    "is refused with what was found in it, and nothing is touched (%j)",
    async (options) => {
      const folder = outputFolder(own);
      const before = listed(folder);
      await expect(JobFolder.open(folder, options)).rejects.toMatchObject({
        code: "output_foreign",
        message: expect.stringMatching(/config\.json, notes\.tmp, plan\.json, work\)/),
        remedy: expect.stringContaining(join(folder, "my-lora")),
      });
      expect(listed(folder)).toEqual(before);
    },
  );

  test("that lies beside a training's files is kept, whatever its name", async () => {
    const mine = {
      "notes.tmp/a.txt": "1",
      "work/film.mp4": "2",
      "lora.safetensors.tmp": "3",
      "a.mp4.part": "4",
    };
    const folder = outputFolder({ ...mine, "plan.json": JSON.stringify(plan), "plan.json.77.tmp": "5" });
    (await JobFolder.open(folder, { resume: true })).close();
    for (const [name, text] of Object.entries(mine))
      expect(readFileSync(join(folder, name), "utf8")).toBe(text);
    expect(existsSync(join(folder, "plan.json.77.tmp"))).toBe(false);
  });

  test("with only what a file manager leaves counts as empty", async () => {
    const folder = outputFolder({ ".DS_Store": "", "lost+found/x": "" });
    (await JobFolder.open(folder, fresh)).close();
    expect(listed(folder)).toEqual([".DS_Store", "lost+found", "lost+found/x"]);
  });

  test("that is the data folder in the home is not taken for a training", async () => {
    const folder = outputFolder({ ".ltx-trainer/models/x/model_index.json": "{}" });
    await expect(JobFolder.open(folder, fresh)).rejects.toMatchObject({ code: "output_foreign" });
  });
});

describe("a folder of ours", () => {
  test("with a checkpoint is refused without --resume, and taken up with it", async () => {
    const folder = outputFolder({ "checkpoints/step-000004/state.json": "{}" });
    await expect(JobFolder.open(folder, fresh)).rejects.toMatchObject({ code: "output_exists" });
    (await JobFolder.open(folder, { resume: true })).close();
    expect(listed(folder)).toContain(join("checkpoints", "step-000004", "state.json"));
  });

  test("of a training that was killed before its first checkpoint can be used anew", async () => {
    const folder = outputFolder({ "plan.json": JSON.stringify(plan), "metrics.jsonl": "{}" });
    (await JobFolder.open(folder, fresh)).close();
    expect(existsSync(join(folder, "metrics.jsonl"))).toBe(true);
  });

  test("is cleared of what a killed training was writing", async () => {
    const litter = [
      "lora.safetensors.12.tmp",
      ...["config.json.12.tmp", "validation.mp4.12.tmp", "contact-sheet.png.12.tmp"],
      ...["samples/final-lora-on-1.mp4.12.tmp", "samples/step-000004-2.mp4.12.tmp"],
      join(".ltx-trainer", "work", "downloads", "a"),
    ];
    const files = Object.fromEntries(litter.map((name) => [name, ""]));
    const folder = outputFolder({ ...files, "plan.json": JSON.stringify(plan) });
    const opened = await JobFolder.open(folder, fresh);
    for (const name of litter) expect(existsSync(join(folder, name)), name).toBe(false);
    opened.close();
  });

  test("is cleared of a video under the name that it is written under", async () => {
    const folder = outputFolder({ "plan.json": JSON.stringify(plan) });
    const hung = join(temporaryFolder(), "ffmpeg");
    writeFileSync(hung, '#!/bin/sh\nfor last; do :; done\n: > "$(echo $last | cut -c6-)"\nsleep 60\n', {
      mode: 0o755,
    });
    vi.stubEnv("FFMPEG_PATH", hung);
    const stop = new AbortController();
    const video = join(folder, "validation.mp4");
    const format = { frames: 1, width: 2, height: 2, frameRate: 16, signal: stop.signal };
    const writing = writeVideo(video, [new Uint8Array(12)], format).catch(() => {});
    const names = () => listed(folder).filter((name) => name !== "plan.json");
    try {
      await vi.waitFor(() => expect(names()).toHaveLength(1), { timeout: 20_000 });
      const litter = names();
      stop.abort();
      await writing;
      expect(names()).toEqual([]);
      writeFileSync(join(folder, litter[0] ?? ""), "");
      (await JobFolder.open(folder, { resume: true })).close();
      expect(names()).toEqual([]);
    } finally {
      stop.abort();
      vi.unstubAllEnvs();
    }
  });

  test("of a training that never began is not left behind", async () => {
    const folder = outputFolder();
    const opened = await JobFolder.open(folder, fresh);
    writeJson(opened.plan, plan);
    mkdirSync(opened.work, { recursive: true });
    opened.close();
    expect(existsSync(folder)).toBe(false);
  });

  test("of a training that was interrupted before its first step is found by --resume", async () => {
    const folder = outputFolder();
    const opened = await JobFolder.open(folder, fresh);
    writeJson(opened.plan, plan);
    opened.close({ isInterrupted: true });
    expect(existsSync(join(folder, "plan.json"))).toBe(true);
    (await JobFolder.open(folder, { resume: true })).close();
  });

  test.each([fresh, { resume: true }])(
    "of a training that was interrupted before it had a plan can be used again (%j)",
    async (options) => {
      const folder = outputFolder();
      (await JobFolder.open(folder, fresh)).close({ isInterrupted: true });
      expect(listed(folder)).toEqual(["checkpoints"]);
      (await JobFolder.open(folder, options)).close();
    },
  );

  test("that cannot be tidied up any more does not change how the training ended", async () => {
    const folder = outputFolder();
    const opened = await JobFolder.open(folder, fresh);
    rmSync(join(folder, ".ltx-trainer"), { recursive: true });
    writeFileSync(join(folder, ".ltx-trainer"), "a file in its place");
    expect(() => opened.close()).not.toThrow();
  });

  test("of the user's own making stays, empty", async () => {
    const folder = outputFolder();
    mkdirSync(folder);
    const opened = await JobFolder.open(folder, fresh);
    writeJson(opened.plan, plan);
    opened.close();
    expect(listed(folder)).toEqual([]);
  });
});

test("every path of a training is in the list of its outputs", async () => {
  const folder = await JobFolder.open(outputFolder(), fresh);
  const { plan: planPath, metrics, report, lora, loraComfyui, config, video, contactSheet } = folder;
  const files = [planPath, metrics, report, lora, loraComfyui, config, video, contactSheet];
  expect(files).toEqual(outputNames.files.map((name) => join(folder.path, name)));
  expect([folder.checkpoints, folder.samples]).toEqual(
    outputNames.folders.map((name) => join(folder.path, name)),
  );
  folder.close();
});

describe("where nothing can be written", () => {
  test("a file in the place of the folder is named", async () => {
    const file = join(temporaryFolder(), "film.mp4");
    writeFileSync(file, "film");
    for (const path of [file, join(file, "below")]) {
      await expect(JobFolder.open(path, fresh)).rejects.toMatchObject({
        code: "invalid_options",
        message: `out: got ${path}, which is a file or lies below one; expected a folder`,
      });
    }
    expect(readFileSync(file, "utf8")).toBe("film");
  });

  test("a folder without permission is named, with what to do", async () => {
    const folder = temporaryFolder();
    const opening = () => JobFolder.open(join(folder, "out"), fresh);
    await expect(withoutRights(folder, opening)).rejects.toMatchObject({
      code: "file_unreadable",
      message: `out: ${join(folder, "out")} cannot be written: permission denied`,
      remedy: expect.stringContaining("--out"),
    });
  });
});

/** Runs the action as a user who may look into the folder and not write into it. */
async function withoutRights<T>(folder: string, action: () => Promise<T>): Promise<T> {
  chmodSync(folder, 0o555);
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    return await action();
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(folder, 0o755);
  }
}

describe("two trainings into one folder", () => {
  const holders: ChildProcess[] = [];
  afterEach(() => {
    for (const child of holders.splice(0)) child.kill("SIGKILL");
  });

  /** Another process that opens the folder, and says "held" or the code of the refusal. */
  async function other(folder: string): Promise<{ readonly child: ChildProcess; readonly said: string }> {
    const program = `
      const { JobFolder } = await import(${JSON.stringify(new URL("job-folder.ts", import.meta.url).href)});
      try { await JobFolder.open(process.argv[1], { resume: true }); console.log("held"); setInterval(() => {}, 1e6); }
      catch (error) { console.log(error.code ?? error.message); }`;
    const root = fileURLToPath(new URL("../../..", import.meta.url));
    const flags = ["--conditions=source", "--import", "tsx", "--input-type=module", "-e", program, folder];
    const child = spawn(process.execPath, flags, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
    holders.push(child);
    const [said] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    return { child, said: said.toString().trim() };
  }

  test("the second is refused while the first runs, and goes on after kill -9 of the first", async () => {
    const folder = outputFolder();
    const first = await other(folder);
    expect(first.said).toBe("held");
    await expect(JobFolder.open(folder, { resume: true })).rejects.toMatchObject({
      code: "output_busy",
      message: expect.stringContaining(`process ${first.child.pid}`),
    });
    mkdirSync(join(folder, "checkpoints/step-000004"), { recursive: true });
    await expect(JobFolder.open(folder, fresh)).rejects.toMatchObject({ code: "output_busy" });
    const ended = once(first.child, "exit");
    first.child.kill("SIGKILL");
    await ended;
    await expect(JobFolder.open(folder, fresh)).rejects.toMatchObject({ code: "output_exists" });
    const opened = await JobFolder.open(folder, { resume: true });
    expect(readdirSync(join(folder, ".ltx-trainer"))).toHaveLength(1);
    opened.close();
  });

  test("of several that start at once, one goes on", async () => {
    const folder = outputFolder();
    const all = await Promise.all([other(folder), other(folder), other(folder)]);
    expect(all.map(({ said }) => said).sort()).toEqual(["held", "output_busy", "output_busy"]);
  });

  test("in one process too", async () => {
    const folder = outputFolder();
    const first = await JobFolder.open(folder, fresh);
    await expect(JobFolder.open(folder, fresh)).rejects.toMatchObject({ code: "output_busy" });
    first.close();
    (await JobFolder.open(folder, fresh)).close();
  });

  test("a lock of a process whose number was given away again is stale", async () => {
    const folder = outputFolder();
    const opened = await JobFolder.open(folder, fresh);
    const [own = ""] = readdirSync(join(folder, ".ltx-trainer"));
    opened.close();
    mkdirSync(join(folder, ".ltx-trainer"), { recursive: true });
    writeFileSync(join(folder, ".ltx-trainer", own.replace(/\d+-\d+$/, `${process.ppid}-1`)), "");
    (await JobFolder.open(folder, fresh)).close();
  });
});
