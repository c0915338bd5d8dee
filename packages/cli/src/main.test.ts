/** The command as a real process, with a real child that speaks the trainer's protocol but has no tensors. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { signalsApartMs } from "@ltx-trainer/host";
import { expect, onTestFinished, test, vi } from "vitest";
import { processesWith } from "./testing/processes.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const fake = fileURLToPath(new URL("testing/fake-trainer.mjs", import.meta.url));
const repository = fileURLToPath(new URL("../../../", import.meta.url));

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };
type Running = {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  seen(pattern: RegExp): Promise<string>;
};

function start(args: readonly string[], env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, ["--conditions=source", "--import", "tsx", main, ...args], {
    cwd: repository,
    env: { ...process.env, LTX_TRAINER_PROGRAM: fake, LTX_TRAINER_HOME: "/tmp/ltx-home", ...env },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (piece) => {
    stdout += piece;
  });
  child.stderr?.on("data", (piece) => {
    stderr += piece;
  });
  const ended = new Promise<Ended>((done) => child.on("close", (code) => done({ code, stdout, stderr })));
  const seen = async (pattern: RegExp) => {
    for (let waited = 0; waited < 200_000; waited += 50) {
      const match = pattern.exec(stderr);
      if (match !== null) return match[1] ?? "";
      await delay(50);
    }
    throw new Error(`not seen: ${pattern} in ${stderr}`);
  };
  return { child, ended, seen };
}

const run = (args: readonly string[], env?: Record<string, string>) => start(args, env).ended;

function lastJson(stdout: string): Record<string, unknown> {
  return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as Record<string, unknown>;
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "ltx-cli-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("train --json: progress on stderr, one JSON object as the only line of stdout", async () => {
  const { code, stdout, stderr } = await run(["train", "clips.zip", "--out", "/tmp/o", "--json"]);
  expect(code).toBe(0);
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  expect(lastJson(stdout)).toMatchObject({
    lora_file: "/tmp/o/lora.safetensors",
    config_file: "/tmp/o/config.json",
    video: null,
    steps: 4,
    seconds: 61,
    final_loss: 0.25,
  });
  expect(stderr).toContain("Opening the base model");
  expect(stderr).toContain(
    "[####################] 4/4  loss 0.2500  lr 2.00e-4  0.25 s/step  ETA 0 s  1.5 GB",
  );
  expect(stderr).toContain("  sample         width 64, frames 25");
  expect(stderr).toContain("warning: two clips are alike");
});

test("without --json stdout names the files and the next command", async () => {
  const { code, stdout } = await run(["train", "clips.zip", "--out", "/tmp/o"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^Trained 4 steps in 1 min 1 s, final loss 0\.2500\.\n {2}LoRA {11}\/tmp\/o\/lora\.safetensors/,
  );
  expect(stdout).toContain("ltx-trainer generate --lora /tmp/o/lora.safetensors");
});

test("the job holds what was typed, the defaults and absolute paths", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "c.json"), JSON.stringify({ rank: 8, seed: 7, trigger_phrase: "echo" }));
  const args = [
    "train",
    "data/cakes.zip",
    "--config",
    join(folder, "c.json"),
    "--rank",
    "16",
    "--no-mixed-shapes",
  ];
  const validation = [
    "--validation",
    "a cube",
    "--validation",
    '{"prompt":"a ball"}',
    "--lora-targets",
    "to_q,ff.net.2",
  ];
  const { code, stderr } = await run([...args, ...validation]);
  expect(code).toBe(0);
  const job = JSON.parse(/^job (.*)$/m.exec(stderr)?.[1] ?? "{}") as Record<string, unknown>;
  expect(job).toMatchObject({
    training_data_url: join(repository, "data/cakes.zip"),
    out: join(repository, "cakes-lora"),
    home: "/tmp/ltx-home",
    rank: 16,
    seed: 7,
    number_of_steps: 1000,
    mixed_shapes: false,
    resume: false,
    validation: [{ prompt: "a cube" }, { prompt: "a ball" }],
    lora_targets: ["to_q", "ff.net.2"],
  });
});

test("a failure of the trainer becomes the exit status, the message and the JSON", async () => {
  const { code, stdout, stderr } = await run(["train", "x", "--trigger-phrase", "not a zip", "--json"]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/error: x: got text\nZip it\.\n$/);
  expect(lastJson(stdout)).toEqual({
    error: { code: "not_a_zip", message: "x: got text", remedy: "Zip it.", retryable: false },
  });
});

test("a trainer that dies is explained with its last words", async () => {
  const crashed = await run(["train", "x", "--trigger-phrase", "crash", "--json"]);
  expect(crashed.code).toBe(1);
  expect(crashed.stderr).toContain("the trainer ended with status 3 without a result");
  expect(crashed.stderr).toContain("  libtorch: something terrible");
  expect(lastJson(crashed.stdout)).toMatchObject({ error: { code: "trainer_died", facts: { exitCode: 3 } } });
  const killed = await run(["train", "x", "--trigger-phrase", "killed"]);
  expect(killed.code).toBe(1);
  expect(killed.stderr).toContain("lack of memory. Run the same command with --resume to continue.");
  expect(killed.stderr).toContain("lower --resolution or --number-of-frames and another --out");
  const starved = await run(["train", "x", "--trigger-phrase", "starved"]);
  expect(starved.stderr).toMatch(/It ran out of memory\. Free some; .* with --resume to continue\./);
  const done = await run(["train", "x", "--trigger-phrase", "killed when trained"]);
  expect(done.code).toBe(1);
  expect(done.stderr).toMatch(/The LoRA is complete.* with --resume to make the videos/);
});

test("Ctrl-C stops the trainer in good order, and says how to continue", async () => {
  const { child, ended, seen } = start(["train", "x", "--trigger-phrase", "patient"]);
  const pid = Number(await seen(/^pid (\d+)$/m));
  child.kill("SIGINT");
  const { code, stderr } = await ended;
  expect(code).toBe(130);
  expect(stderr).toContain("Stopping after the work in hand; `--resume` continues later.");
  expect(stderr).toContain("error: stopped");
  expect(isAlive(pid)).toBe(false);
});

test("whoever closes stderr stops the trainer in good order", async () => {
  const { child, ended, seen } = start(["train", "x", "--trigger-phrase", "talkative"]);
  const pid = Number(await seen(/^pid (\d+)$/m));
  child.stderr?.destroy();
  expect((await ended).code).toBe(130);
  expect(isAlive(pid)).toBe(false);
});

test.runIf(existsSync("/usr/bin/script"))(
  "a terminal that closes stops the trainer in good order",
  async () => {
    const said = join(temporaryFolder(), "stderr");
    const node = `'${process.execPath}' --conditions=source --import tsx '${main}'`;
    const command = `exec ${node} train x --trigger-phrase patient --out '${said}.out' 2>'${said}'`;
    const terminal = spawn("script", ["-qfec", command, "/dev/null"], {
      cwd: repository,
      env: { ...process.env, SHELL: "/bin/sh", LTX_TRAINER_PROGRAM: fake, LTX_TRAINER_HOME: "/tmp/ltx-home" },
    });
    onTestFinished(() => {
      for (const pid of processesWith(`${said}.out`)) process.kill(pid, "SIGKILL");
    });
    const text = () => (existsSync(said) ? readFileSync(said, "utf8") : "");
    await vi.waitFor(() => expect(text()).toMatch(/^pid \d+$/m), { timeout: 20_000 });
    terminal.kill("SIGKILL");
    await vi.waitFor(() => expect(processesWith(`${said}.out`)).toEqual([]), { timeout: 20_000 });
    expect(text()).toMatch(/error: stopped\n$/);
  },
);

test("a second Ctrl-C ends a trainer that does not listen", async () => {
  const { child, ended, seen } = start(["train", "x", "--trigger-phrase", "stubborn"]);
  const pid = Number(await seen(/^pid (\d+)$/m));
  child.kill("SIGINT");
  await seen(/(Waiting for: opening the base model\.)/);
  // What comes close to the first is the same Ctrl-C, passed on by npm or a terminal.
  await delay(signalsApartMs);
  child.kill("SIGINT");
  const { code, stderr } = await ended;
  expect(code).toBe(130);
  expect(stderr).toContain("--resume");
  expect(isAlive(pid)).toBe(false);
});

test.runIf(process.platform === "linux")("no trainer is left behind when the command is killed", async () => {
  const { child, ended, seen } = start(["train", "x", "--trigger-phrase", "stubborn"]);
  const pid = Number(await seen(/^pid (\d+)$/m));
  child.kill("SIGKILL");
  await ended;
  for (let waited = 0; isAlive(pid) && waited < 200_000; waited += 50) await delay(50);
  expect(isAlive(pid)).toBe(false);
});

test.each([
  [["train"], "<data>: missing, expected a zip, a folder"],
  [["train", "a", "--rank", "many"], '--rank: got "many", expected a number (1 to 1024)'],
  [["train", "a", "--rank", "0"], "--rank: got 0, expected at least 1"],
  [["train", "a", "--resolution", "huge"], '--resolution: got "huge", expected one of low, medium, high'],
  [["train", "a", "b"], "too many arguments for 'train'"],
  [["train", "a", "--colour", "red"], "unknown option '--colour'"],
  [["train", "a", "--config", "/no/such.json"], "--config: /no/such.json: ENOENT"],
  [["generate"], "--prompt: missing, expected text"],
  [["generate", "--prompt", "a", "--width", "64"], "--height: missing, expected width and height together"],
  [["trian"], "unknown command 'trian'\n(Did you mean train?)"],
])("wrong usage %j ends with status 2 and says what is wrong", async (args, message) => {
  const { code, stdout, stderr } = await run([...args, "--json"]);
  expect(code).toBe(2);
  expect(stderr).toContain(`error: ${message}`);
  expect(lastJson(stdout)).toMatchObject({ error: { code: "invalid_options" } });
});

test("a limit of open files that is too low for the program itself is named", () => {
  const bin = fileURLToPath(new URL("../bin/ltx-trainer.js", import.meta.url));
  const run = spawnSync("sh", ["-c", 'ulimit -n 40; exec "$@"', "sh", process.execPath, bin, "--version"], {
    encoding: "utf8",
  });
  expect(run.status).toBe(1);
  expect(run.stderr).toMatch(/^error: too many open files: .*\n.* `ulimit -n 4096`/);
});

test("help and version end with status 0 and go to stdout", async () => {
  const help = await run(["train", "--help"]);
  expect(help).toMatchObject({ code: 0, stderr: "" });
  expect(help.stdout).toContain("--number-of-steps <number>");
  expect(help.stdout).toMatch(/Data:.*Training:.*Validation:.*Expert:.*Examples:/s);
  expect((await run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  const bare = await run([]);
  expect(bare.code).toBe(2);
  expect(bare.stderr).toContain("Commands:");
});

test("models list shows what can be used and what cannot", async () => {
  const { code, stdout } = await run(["models", "list"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^tiny +nano +2\.5 MB +bundled +\/m\/tiny$/m);
  expect(stdout).toMatch(/^bad .* cannot be used: no weights$/m);
  expect(lastJson((await run(["models", "list", "--json"])).stdout)).toMatchObject({
    models: [{ name: "tiny" }, {}],
  });
});

test("generate names the video and how it was made", async () => {
  const { code, stdout } = await run(["generate", "--prompt", "a", "--out", "/tmp/v.mp4"]);
  expect(code).toBe(0);
  expect(stdout).toBe("/tmp/v.mp4\n  64x64, 9 frames at 25/s, seed 42, in 2 s\n");
});

test("doctor looks at everything, and its status says whether something is broken", async () => {
  const healthy = await run(["doctor", "--json"]);
  const { checks, ok } = lastJson(healthy.stdout) as {
    ok: boolean;
    checks: { name: string; status: string }[];
  };
  const names = checks.map(({ name }) => name);
  for (const name of [
    "Node",
    "npm packages",
    "matrix product",
    "ffmpeg",
    "ffprobe",
    "data folder",
    "disk space",
    "base models",
  ]) {
    expect.soft(names).toContain(name);
  }
  expect(healthy.code).toBe(ok ? 0 : 1);
  const broken = await run(["doctor"], { FFMPEG_PATH: "/nowhere/ffmpeg" });
  expect(broken.code).toBe(1);
  expect(broken.stdout).toMatch(/^fail {2}ffmpeg +\/nowhere\/ffmpeg: not found\n +fix: Install ffmpeg/m);
  expect(broken.stdout).toMatch(/checks failed\.\n$/);
});

test("doctor finds out that an encoder is listed and does not work", async () => {
  const program = join(temporaryFolder(), "ffmpeg");
  const script = '#!/bin/sh\ncase "$*" in *libx264*) exit 1;; esac\nexec ffmpeg "$@"\n';
  writeFileSync(program, script, { mode: 0o755 });
  const { code, stdout } = await run(["doctor"], { FFMPEG_PATH: program });
  expect(code).toBe(1);
  expect(stdout).toMatch(/^fail {2}ffmpeg +.*without the H\.264 encoder libx264\n +fix: Install an ffmpeg/m);
});
