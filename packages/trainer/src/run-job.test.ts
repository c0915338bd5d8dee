/** Whole trainings in this process, with a tiny base model: what is kept when something fails or somebody stops it. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type AppError, type JobEvent, parseOptions, TrainJob, TrainOutputs } from "@ltx-trainer/contract";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { ffmpeg } from "./media/testing/media.ts";
import { Reporter } from "./process/events.ts";
import { toFailure } from "./process/failures.ts";
import { runTraining } from "./run-job.ts";

const root = mkdtempSync(join(tmpdir(), "ltx-run-job-"));
const [base, data] = [join(root, "base"), join(root, "data")];
afterAll(() => rmSync(root, { recursive: true, force: true }));
afterEach(() => void vi.unstubAllEnvs());

beforeAll(() => {
  cpSync(fileURLToPath(new URL("../../../fixtures/folder/tiny", import.meta.url)), base, { recursive: true });
  const index = join(base, "model_index.json");
  const size = { width: 64, height: 64 };
  const row = { "16:9": size, "1:1": size, "9:16": size };
  const own = { sizes: { low: row, medium: row, high: row }, sampler: { steps: 2, guidance: 2 } };
  writeFileSync(index, JSON.stringify({ ...JSON.parse(readFileSync(index, "utf8")), _ltx_trainer: own }));
  mkdirSync(data);
  for (const name of ["testsrc2", "mandelbrot"]) {
    ffmpeg([
      "-f",
      "lavfi",
      "-i",
      `${name}=s=64x64:r=25`,
      "-t",
      "0.4",
      "-pix_fmt",
      "yuv420p",
      join(data, `${name}.mp4`),
    ]);
    writeFileSync(join(data, `${name}.txt`), `a pattern called ${name}`);
  }
});

type Run = {
  readonly out: string;
  readonly events: JobEvent[];
  readonly outputs?: TrainOutputs;
  readonly failure?: AppError;
};

let runs = 0;

/** One training; \`stopAt\` asks it to stop when it says something, as Ctrl-C at that moment does. */
async function train(
  options: Readonly<Record<string, unknown>> = {},
  {
    stopAt,
    stop = new AbortController(),
  }: { stopAt?: (event: JobEvent) => boolean; stop?: AbortController } = {},
): Promise<Run> {
  const out = join(root, `out-${++runs}`);
  const job = parseOptions(TrainJob, {
    ...{ training_data_url: data, base, rank: 2, number_of_frames: 9, validation_number_of_frames: 9 },
    ...{ number_of_steps: 3, checkpoint_interval: 0, threads: 1, validation: [{ prompt: "a pattern" }] },
    ...{ out, home: join(root, "home") },
    ...options,
  });
  const events: JobEvent[] = [];
  const reporter = new Reporter((event) => {
    events.push(event);
    if (stopAt?.(event)) stop.abort();
  });
  try {
    return { out: job.out, events, outputs: await runTraining(job, reporter, stop.signal) };
  } catch (error) {
    const { out: folder, home } = job;
    const around = { command: "train", signal: stop.signal, written: reporter.written, out: folder, home };
    return { out: job.out, events, failure: toFailure(error, around) };
  }
}

/** An ffmpeg that does something else when its arguments match a shell pattern. */
function ffmpegThat(pattern: string, action: string): void {
  const path = join(root, `ffmpeg-${runs}-${Math.random()}`);
  writeFileSync(path, `#!/bin/sh\ncase "$*" in ${pattern}) ${action};; esac\nexec ffmpeg "$@"\n`);
  chmodSync(path, 0o755);
  vi.stubEnv("FFMPEG_PATH", path);
}

const fails = 'echo "the encoder is broken" >&2; exit 1';
const warningsOf = (run: Run) =>
  run.events.flatMap((event) => (event.type === "warning" ? [event.message] : []));
const loraFiles = ["lora.safetensors", "lora.comfyui.safetensors", "config.json"];

describe("once the LoRA is on disk", () => {
  test("it is said, with both files and config.json complete, before a preview is made", async () => {
    let atThatTime: string[] = [];
    const folder = join(root, "told");
    const run = await train(
      { out: folder, validation: [{ prompt: "a pattern ".repeat(300) }] },
      {
        stopAt: (event) => {
          if (event.type === "trained") atThatTime = readdirSync(folder);
          return false;
        },
      },
    );
    expect(atThatTime).toEqual(expect.arrayContaining(loraFiles));
    expect(atThatTime).not.toContain("validation.mp4");
    const told = run.events.find((event) => event.type === "trained");
    expect(TrainOutputs.parse(told?.outputs)).toMatchObject({ steps: 3, video: null, contact_sheet: null });
    expect(run.outputs).toMatchObject({ video: join(folder, "validation.mp4") });
    expect(run.outputs).not.toHaveProperty("video_error");
    expect(readdirSync(folder)).not.toContain(".ltx-trainer");
    expect(warningsOf(run)).toEqual([
      expect.stringMatching(/^validation\[0\]\.prompt: \d+ tokens, and base reads \d+: it does not see "/),
    ]);
  });

  test("and removed while the videos are made, it is not passed off as there", async () => {
    const folder = join(root, "removed");
    const run = await train(
      { out: folder },
      {
        stopAt: (event) => {
          if (event.type === "trained") rmSync(folder, { recursive: true });
          return false;
        },
      },
    );
    expect(run.failure).toMatchObject({
      code: "file_unreadable",
      message: `${join(folder, "lora.safetensors")}: it was written, and removed while the videos were made`,
      remedy: expect.stringContaining("another --out"),
    });
  });

  test.each([
    [
      "the video cannot be encoded",
      "*validation.mp4*",
      { video: null, video_error: "the encoder is broken" },
    ],
    [
      "no preview can be made",
      "*samples/final*",
      { video: null, contact_sheet: null, video_error: "the encoder is broken" },
    ],
  ])("%s: the training succeeds without it, and says why", async (_, pattern, expected) => {
    ffmpegThat(pattern, fails);
    const run = await train();
    expect(run.failure).toBeUndefined();
    expect(run.outputs).toMatchObject(expected);
    for (const name of loraFiles) expect(existsSync(join(run.out, name)), name).toBe(true);
    expect(warningsOf(run).at(-1)).toBe(
      "validation video: not made: the encoder is broken. The LoRA is complete; `ltx-trainer generate --lora` makes videos with it.",
    );
    expect(readdirSync(run.out).filter((name) => /part|tmp/.test(name))).toEqual([]);
  });
});

test("a preview during training that fails is a warning, once, and training continues", async () => {
  ffmpegThat("*samples/step-*", fails);
  const run = await train({ validation_interval: 1 });
  expect(run.outputs).toMatchObject({ steps: 3, video: join(run.out, "validation.mp4") });
  expect(warningsOf(run)).toEqual([
    "preview after step 1: not made: the encoder is broken. Training continues.",
  ]);
});

test("nothing in the output folder holds a path, address or data that the user named", async () => {
  const marker = "S3CR3T";
  const secret = join(root, marker);
  const pairs = join(secret, "pairs");
  mkdirSync(pairs, { recursive: true });
  for (const name of ["a.mp4", "a.reference.mp4"]) cpSync(join(data, "testsrc2.mp4"), join(pairs, name));
  cpSync(base, join(secret, "tiny"), { recursive: true });
  ffmpeg(["-f", "lavfi", "-i", "testsrc2=s=64x64", "-frames:v", "1", join(secret, "first.png")]);
  const image = `data:image/png;comment=${marker};base64,${readFileSync(join(secret, "first.png")).toString("base64")}`;
  const reference = join(pairs, "a.reference.mp4");
  const run = await train({
    ...{
      training_data_url: pairs,
      base: join(secret, "tiny"),
      out: join(secret, "lora"),
      home: join(secret, "home"),
    },
    ...{ reference_videos: true, number_of_steps: 1 },
    validation: [{ prompt: "a pattern", image_url: image, reference_url: reference }],
  });
  expect(run.failure).toBeUndefined();
  const written = ["plan.json", "dataset-report.json", "metrics.jsonl", ...loraFiles];
  for (const name of written) {
    expect(readFileSync(join(run.out, name)).includes(marker), name).toBe(false);
    expect(readFileSync(join(run.out, name)).includes(root), name).toBe(false);
  }
  expect(JSON.parse(readFileSync(join(run.out, "config.json"), "utf8")).input).toMatchObject({
    training_data_url: "pairs",
    base: "tiny",
    validation: [{ prompt: "a pattern", image_url: "data URI", reference_url: "a.reference.mp4" }],
  });
});

describe("before the work starts", () => {
  test("an ffmpeg without libx264 is found, and no folder is left", async () => {
    ffmpegThat("*libx264*", "echo \"Unknown encoder 'libx264'\" >&2; exit 1");
    const run = await train();
    expect(run.failure).toMatchObject({
      code: "tool_missing",
      message:
        "ffmpeg: got one that cannot write H.264 video (Unknown encoder 'libx264'), expected one with libx264",
      remedy: expect.stringContaining("FFMPEG_PATH"),
    });
    expect(run.events.some((event) => event.type === "phase" && event.phase === "dataset")).toBe(false);
    expect(existsSync(run.out)).toBe(false);
  });

  test("a data folder that is a file is named, with --home", async () => {
    const home = join(root, "home-file");
    writeFileSync(home, "");
    expect((await train({ home })).failure).toMatchObject({
      code: "file_unreadable",
      message: `home: ${home} cannot be written: it is a file or lies below one`,
      remedy: expect.stringContaining("--home"),
    });
  });

  test("data that do not exist leave no folder", async () => {
    const run = await train({ training_data_url: join(root, "nowhere.zip") });
    expect(run.failure?.code).toBe("source_not_found");
    expect(existsSync(run.out)).toBe(false);
  });
});

describe("asked to stop", () => {
  const says = (title: string, done?: number) => (event: JobEvent) =>
    event.type === "phase" && event.title === title && (done === undefined || event.done === done);
  const before = "interrupted before the first step: nothing was lost";
  const after = (step: number) => `interrupted: a checkpoint was written after step ${step}`;
  const complete = "interrupted while the videos were made: the LoRA is complete, with its config.json";

  test.each<readonly [string, (event: JobEvent) => boolean, string]>([
    ["setup", says("Opening the base model"), before],
    ["reading the dataset", says("Reading the dataset"), before],
    ["checking media", says("Checking media", 1), before],
    ["decoding and encoding clips", says("Encoding clips", 1), before],
    ["encoding captions", says("Encoding captions", 1), before],
    ["training", (event) => event.type === "progress" && event.step === 2, after(2)],
    ["a preview in training", says("Sampling after step 1", 2), after(1)],
    ["the last step", (event) => event.type === "progress" && event.step === 3, complete],
    ["sampling with the LoRA", says("Sampling with the LoRA", 1), complete],
    [
      "decoding videos",
      (event) => event.type === "phase" && event.title === "Decoding videos" && event.total === 2,
      complete,
    ],
  ])("in %s it ends with 130, blames nobody and says what is kept", async (_, stopAt, message) => {
    // Latents and embeddings of an earlier run would leave nothing to encode.
    const home = message === before ? { home: mkdtempSync(join(root, "home-")) } : {};
    const run = await train({ validation_interval: message === after(1) ? 1 : 0, ...home }, { stopAt });
    expect(run.failure).toMatchObject({ code: "interrupted", exitCode: 130, message });
    expectKept(run, message);
  });

  function expectKept({ out }: Run, message: string): void {
    const checkpoints = existsSync(join(out, "checkpoints")) ? readdirSync(join(out, "checkpoints")) : [];
    expect(checkpoints.length > 0).toBe(message !== before);
    for (const name of loraFiles) expect(existsSync(join(out, name)), name).toBe(message === complete);
    expect(existsSync(join(out, ".ltx-trainer"))).toBe(false);
  }

  test.each([
    ["decoding a clip", "*pipe:1*rawvideo*|*rawvideo*pipe:1*", before],
    ["encoding the validation video", "*validation.mp4*", complete],
  ])("while ffmpeg is %s it does not wait for ffmpeg", async (_, pattern, message) => {
    const marker = join(root, `marker-${runs}-${Math.random()}`);
    ffmpegThat(pattern, `touch ${marker}; exec sleep 600`);
    const stop = new AbortController();
    const poll = setInterval(() => existsSync(marker) && stop.abort(), 10);
    const run = await train({ home: mkdtempSync(join(root, "home-")) }, { stop });
    clearInterval(poll);
    expect(run.failure).toMatchObject({ code: "interrupted", message });
    expectKept(run, message);
  });

  test.each([
    ["the VAE", says("Encoding clips", 0), before],
    ["sampling", says("Sampling with the LoRA", 1), complete],
  ])("while %s holds the event loop, the stop file is seen", async (_, moment, message) => {
    const home = mkdtempSync(join(root, "home-"));
    const argv = [...process.argv];
    process.argv[3] = join(home, "job.json");
    const stopAt = (event: JobEvent) => {
      if (moment(event)) writeFileSync(join(home, "job.json.stop"), "");
      return false;
    };
    const run = await train({ home }, { stopAt });
    process.argv = argv;
    expect(run.failure).toMatchObject({ code: "interrupted", message });
    expectKept(run, message);
  });

  test("in a download it ends too", async () => {
    const stop = new AbortController();
    const server = createServer((_, response) => {
      response.writeHead(200, { "content-length": "1000000" });
      response.write("PK");
      stop.abort();
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as AddressInfo;
    const run = await train({ training_data_url: `http://127.0.0.1:${port}/a.zip` }, { stop });
    server.closeAllConnections();
    server.close();
    expect(run.failure).toMatchObject({ code: "interrupted", message: before });
    expectKept(run, before);
  });

  test("a failure of its own on the way out is still told", async () => {
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    const around = { command: "train", signal: AbortSignal.abort(), written: {}, out: root, home: root };
    expect(toFailure(full, around).code).toBe("disk_full");
    expect(toFailure(new TypeError("x is not a function"), around).code).toBe("internal");
  });
});
