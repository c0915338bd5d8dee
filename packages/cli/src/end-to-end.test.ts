/** Whole trainings through the command line: real media, real trainer process, a tiny base model. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TrainJob, TrainOutputs } from "@ltx-trainer/contract";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { readConfig } from "./options/config-file.ts";
import { childrenOf } from "./testing/processes.ts";
import { makeTinyBase } from "./testing/tiny-base.ts";

const command = fileURLToPath(new URL("../bin/ltx-trainer.js", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "ltx-end-to-end-"));
const base = join(root, "base");
const data = join(root, "data");
const steps = 40;

// Each test runs whole processes, several of them in the longest; a busy machine takes its time.
vi.setConfig({ testTimeout: 600_000 });

afterAll(() => rmSync(root, { recursive: true }));

function makeData(): void {
  mkdirSync(data);
  for (const [index, pattern] of ["testsrc2", "mandelbrot"].entries()) {
    const source = `${pattern}=s=96x64:r=25`;
    const clip = join(data, `clip-${index}.mp4`);
    execFileSync("ffmpeg", [
      "-v",
      "error",
      "-f",
      "lavfi",
      "-i",
      source,
      "-t",
      "0.8",
      "-pix_fmt",
      "yuv420p",
      clip,
    ]);
    writeFileSync(join(data, `clip-${index}.txt`), `a moving pattern called ${pattern}`);
  }
  const still = [
    "-v",
    "error",
    "-f",
    "lavfi",
    "-i",
    "smptebars=s=80x80",
    "-frames:v",
    "1",
    join(data, "bars.png"),
  ];
  execFileSync("ffmpeg", still);
  writeFileSync(join(data, "broken.mp4"), "not a video");
}

beforeAll(() => {
  makeTinyBase(base);
  makeData();
});

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

const options = [
  ...["--base", base, "--rank", "4", "--number-of-frames", "9", "--validation-number-of-frames", "9"],
  ...["--learning-rate", "0.01", "--checkpoint-interval", "3", "--trigger-phrase", "zxq", "--threads", "1"],
];

function start(args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [command, ...args, "--json"], {
    env: { ...process.env, LTX_TRAINER_HOME: join(root, "home") },
  });
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (piece) => {
    stdout += piece;
  });
  child.stderr?.on("data", (piece) => {
    stderr += piece;
  });
  return { child, ended: new Promise((done) => child.on("close", (code) => done({ code, stdout, stderr }))) };
}

function train(out: string, extra: readonly string[] = []) {
  return start([
    "train",
    data,
    ...options,
    "--number-of-steps",
    String(steps),
    "--out",
    join(root, out),
    ...extra,
  ]);
}

const jsonOf = (ended: Ended): Record<string, unknown> =>
  JSON.parse(ended.stdout.trimEnd().split("\n").at(-1) ?? "");
const bytes = (out: string, name: string) => readFileSync(join(root, out, name));

/** Whether a training was killed after one, four and eight steps and resumed in between, and never came to its end. */
async function killThreeTimes(out: string): Promise<boolean> {
  for (const [index, killAfter] of [1, 4, 8].entries()) {
    const running = train(out, index === 0 ? [] : ["--resume"]);
    const path = join(root, out, "metrics.jsonl");
    const linesNow = () => (existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0);
    while (linesNow() < killAfter && running.child.exitCode === null) await delay(5);
    killTree(running.child);
    if ((await running.ended).code === 0) return false;
  }
  return true;
}

describe("train", () => {
  test("leaves every output, and its last line names them", async () => {
    const ended = await train("whole").ended;
    expect(ended.code, ended.stderr).toBe(0);
    const outputs = TrainOutputs.parse(jsonOf(ended));
    expect(outputs.steps).toBe(steps);
    expect(outputs.final_loss).toBeGreaterThan(0);
    for (const file of [outputs.lora_file, outputs.lora_file_comfyui, outputs.config_file, outputs.video]) {
      expect(existsSync(file as string), String(file)).toBe(true);
    }
    const again = readConfig(outputs.config_file, TrainJob);
    expect(again).toMatchObject({
      ignored: [],
      options: { rank: 4, number_of_steps: steps, trigger_phrase: "zxq" },
    });
    const metrics = bytes("whole", "metrics.jsonl").toString().trimEnd().split("\n");
    expect(metrics.map((line) => JSON.parse(line).step)).toEqual(
      Array.from({ length: steps }, (_, i) => i + 1),
    );
    const report = JSON.parse(bytes("whole", "dataset-report.json").toString());
    expect(report.totals).toMatchObject({ kept: 3, dropped: 1 });
    const plan = JSON.parse(bytes("whole", "plan.json").toString());
    expect(plan.sample).toMatchObject({ width: 64, height: 64, frames: 9 });
    const probed = execFileSync("ffprobe", [
      "-v",
      "error",
      "-show_streams",
      "-of",
      "json",
      outputs.video as string,
    ]);
    expect(JSON.parse(probed.toString()).streams[0]).toMatchObject({
      codec_name: "h264",
      width: 64,
      nb_frames: "9",
    });
  });

  test("killed at any moment and resumed, it ends with the same LoRA to the bit", async () => {
    // On a busy machine a training may end before the kill reaches it: then another one is killed.
    while (!(await killThreeTimes("killed"))) rmSync(join(root, "killed"), { recursive: true });
    const ended = await train("killed", ["--resume"]).ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect(bytes("killed", "lora.safetensors").equals(bytes("whole", "lora.safetensors"))).toBe(true);
    expect(
      bytes("killed", "lora.comfyui.safetensors").equals(bytes("whole", "lora.comfyui.safetensors")),
    ).toBe(true);
    expect(readdirSync(join(root, "killed")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("refuses to write over a training, and says how to go on", async () => {
    const ended = await train("whole").ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/already holds a training.*--resume/s);
  });

  test("refuses to resume where there is nothing to resume, and makes no folder", async () => {
    const ended = await train("never-begun", ["--resume"]).ended;
    expect(ended.code).toBe(2);
    expect(jsonOf(ended)).toMatchObject({ error: { code: "checkpoint_not_found" } });
    expect(ended.stderr).toMatch(/never-begun, expected an output folder that holds a training.*--out/s);
    expect(existsSync(join(root, "never-begun"))).toBe(false);
  });

  test("resuming with other options names the difference", async () => {
    const ended = await train("whole", ["--resume", "--seed", "7"]).ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain("seed: was 42, is now 7");
  });

  test("interrupted, it writes a checkpoint and says so", async () => {
    const running = train("stopped", ["--number-of-steps", "100000", "--checkpoint-interval", "0"]);
    const path = join(root, "stopped", "metrics.jsonl");
    for (let waited = 0; !existsSync(path) && waited < 200_000; waited += 20) await delay(20);
    await delay(300);
    running.child.kill("SIGINT");
    const ended = await running.ended;
    expect(ended.code).toBe(130);
    expect(ended.stderr).toMatch(/--resume/);
    expect(readdirSync(join(root, "stopped", "checkpoints")).length).toBeGreaterThan(0);
  });
});

/** The command and the trainer it started: `kill -9` of both, as a power cut would. */
function killTree(child: ChildProcess): void {
  for (const pid of [...childrenOf(child.pid as number), child.pid as number]) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Already gone with the other.
    }
  }
}

test("the bundled model learns from the bundled example", async () => {
  const example = fileURLToPath(new URL("../../../examples/glowpulse.zip", import.meta.url));
  const small = ["--resolution", "low", "--number-of-frames", "9", "--validation-resolution", "low"];
  const quick = [
    "--number-of-steps",
    "3",
    "--rank",
    "8",
    "--validation-number-of-frames",
    "9",
    "--validation-steps",
    "3",
  ];
  const out = join(root, "nano");
  const ended = await start(["train", example, "--base", "ltx-nano", ...small, ...quick, "--out", out]).ended;
  expect(ended.code, ended.stderr).toBe(0);
  const outputs = TrainOutputs.parse(jsonOf(ended));
  expect(existsSync(outputs.video as string)).toBe(true);
  expect(existsSync(outputs.contact_sheet as string)).toBe(true);
  const report = JSON.parse(readFileSync(join(out, "dataset-report.json"), "utf8"));
  expect(report.totals).toMatchObject({ kept: 18, dropped: 0 });
});

describe("reference videos", () => {
  const pairs = join(root, "pairs");
  const colours = join(pairs, "clip-0.mp4");
  const grey = join(pairs, "clip-0.reference.mp4");

  /** The clips of the data, each with its grey version as the reference. */
  function makePairs(): void {
    mkdirSync(pairs);
    for (const index of [0, 1]) {
      const [from, to] = [join(data, `clip-${index}.mp4`), join(pairs, `clip-${index}.mp4`)];
      cpSync(from, to);
      const reference = join(pairs, `clip-${index}.reference.mp4`);
      execFileSync("ffmpeg", ["-v", "error", "-i", from, "-vf", "hue=s=0", reference]);
    }
  }

  test("a LoRA is trained on pairs, previewed and used on another video", async () => {
    makePairs();
    const out = join(root, "paired");
    const preview = ["--validation", JSON.stringify({ prompt: "colours", reference_url: grey })];
    const args = ["train", pairs, ...options, ...preview, "--number-of-steps", "3", "--out", out];
    const ended = await start([...args, "--reference-videos"]).ended;
    expect(ended.code, ended.stderr).toBe(0);
    const outputs = TrainOutputs.parse(jsonOf(ended));
    expect(existsSync(outputs.video as string)).toBe(true);
    const config = JSON.parse(readFileSync(outputs.config_file, "utf8"));
    expect(config.reference_video).toBe(true);
    const report = JSON.parse(readFileSync(join(out, "dataset-report.json"), "utf8"));
    expect(report.totals).toMatchObject({ kept: 2, dropped: 0 });

    const made = async (name: string, extra: readonly string[]) => {
      const video = join(root, name);
      const shape = ["--number-of-frames", "9", "--threads", "1", "--lora", outputs.lora_file];
      const run = ["generate", "--base", base, "--prompt", "colours", ...shape, "--out", video, ...extra];
      const generated = await start(run).ended;
      expect(generated.code, generated.stderr).toBe(0);
      return readFileSync(video);
    };
    const without = await made("without.mp4", []);
    const fromGrey = await made("from-grey.mp4", ["--reference", grey]);
    const fromColours = await made("from-colours.mp4", ["--reference", colours]);
    expect(fromGrey.equals(without)).toBe(false);
    expect(fromGrey.equals(fromColours)).toBe(false);
  });

  test("a preview without a reference is refused before anything is read", async () => {
    const args = [
      "train",
      join(root, "nowhere"),
      ...options,
      "--reference-videos",
      "--validation",
      "colours",
    ];
    const ended = await start([...args, "--out", join(root, "refused")]).ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/--validation\[0\].reference_url: missing, expected a video/);
  });
});

describe("generate", () => {
  test("shows the LoRA beside the base at the same seed", async () => {
    const out = join(root, "compared.mp4");
    const lora = join(root, "whole", "lora.safetensors");
    const args = [
      "generate",
      "--base",
      base,
      "--lora",
      lora,
      "--prompt",
      "zxq a pattern",
      "--number-of-frames",
      "9",
    ];
    const ended = await start([...args, "--compare", "--threads", "1", "--out", out]).ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect(jsonOf(ended)).toMatchObject({ width: 128, height: 64, frames: 9 });
    expect(existsSync(out)).toBe(true);
  });

  test("a file that is no LoRA is refused with its name", async () => {
    const ended = await start([
      "generate",
      "--base",
      base,
      "--lora",
      join(data, "broken.mp4"),
      "--prompt",
      "x",
    ]).ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain("broken.mp4");
  });
});

describe("bad input", () => {
  const cases: readonly (readonly [string, () => string, RegExp])[] = [
    ["a missing file", () => join(root, "nowhere.zip"), /nowhere\.zip/],
    ["something that is not a zip", () => join(data, "clip-0.txt"), /zip|media|video/i],
    ["an empty folder", () => mkdtempSync(join(root, "empty-")), /empty|no /i],
  ];
  test.each(cases)("%s is refused with status 2", async (_, source, words) => {
    const ended = await start(["train", source(), ...options, "--out", join(root, "refused")]).ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(words);
    rmSync(join(root, "refused"), { recursive: true, force: true });
  });

  test("a wrong option says what was got and what is expected", async () => {
    const ended = await start(["train", data, "--rank", "0", "--base", base, "--out", join(root, "refused")])
      .ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/rank: got 0, expected at least 1/);
  });

  test("an unknown base model names the installed ones", async () => {
    const ended = await start(["train", data, "--base", "gpt-9", "--out", join(root, "refused")]).ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/got "gpt-9".*ltx-nano/s);
  });
});
