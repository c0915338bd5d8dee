/** Running ffmpeg: limits, interruption, absence. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { temporaryFolder } from "../testing/media.ts";
import { findTool, firstComplaint, runTool } from "./ffmpeg.ts";

const endless = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=60", "-f", "null", "-"];

test("a run that takes too long is killed and said so", async () => {
  await expect(runTool("ffmpeg", endless, { what: "a.mp4", timeoutMs: 300 })).rejects.toMatchObject({
    code: "tool_failed",
    message: "a.mp4: ffmpeg was stopped after 0 s",
  });
});

test("a run that writes nothing any more is killed and said so; one that goes on writing is not", async () => {
  const silent = ["-f", "lavfi", "-i", "testsrc2=s=32x32:r=1", "-f", "null", "-"];
  const hung = runTool("ffmpeg", silent, { what: "a.mp4", timeoutMs: 60_000, quietMs: 300 });
  await expect(hung).rejects.toThrow("a.mp4: ffmpeg was stopped after 0 s without output");
  const slow = ["-re", "-f", "lavfi", "-i", "testsrc2=s=320x320:r=20:d=4", "-f", "rawvideo", "pipe:1"];
  const run = await runTool("ffmpeg", slow, { what: "a", timeoutMs: 60_000, quietMs: 3000 });
  expect(run.exitCode).toBe(0);
});

test("a program that cannot be started is no fault of the file", async () => {
  const path = join(temporaryFolder(), "ffmpeg");
  writeFileSync(path, "#!/nonexistent/interpreter\n", { mode: 0o755 });
  vi.stubEnv("FFMPEG_PATH", path);
  vi.stubEnv("PATH", "/nonexistent");
  try {
    await expect(runTool("ffmpeg", [], { what: "a", timeoutMs: 1000 })).rejects.toMatchObject({
      code: "tool_missing",
      message: expect.stringMatching(/^ffmpeg: .* cannot be started: /),
    });
  } finally {
    vi.unstubAllEnvs();
  }
});

test("an aborted run is killed", async () => {
  const abort = new AbortController();
  setTimeout(() => abort.abort(new Error("stop")), 200);
  const run = runTool("ffmpeg", endless, { what: "a", timeoutMs: 200_000, signal: abort.signal });
  await expect(run).rejects.toThrow("stop");
});

test("a script that starts the real program ends together with it", async () => {
  const path = join(temporaryFolder(), "ffmpeg");
  writeFileSync(path, "#!/bin/sh\nsleep 60\nexit 0\n", { mode: 0o755 });
  vi.stubEnv("FFMPEG_PATH", path);
  try {
    await expect(runTool("ffmpeg", [], { what: "a", timeoutMs: 300 })).rejects.toMatchObject({
      message: "a: ffmpeg was stopped after 0 s",
    });
  } finally {
    vi.unstubAllEnvs();
  }
});

test.runIf(existsSync("/usr/bin/setpriv"))(
  "a program that hangs ends with a trainer that is killed",
  async () => {
    const folder = temporaryFolder();
    const hung = join(folder, "ffmpeg");
    writeFileSync(hung, "#!/bin/sh\necho $$ > $0.pid\nexec sleep 60\n", { mode: 0o755 });
    const program = `import { runTool } from ${JSON.stringify(new URL("ffmpeg.ts", import.meta.url).href)};
    await runTool("ffmpeg", [], { what: "a", timeoutMs: 60_000 });`;
    const trainer = spawn(process.execPath, ["--conditions=source", "--import", "tsx", "--eval", program], {
      env: { ...process.env, FFMPEG_PATH: hung },
      stdio: "inherit",
    });
    onTestFinished(() => void trainer.kill("SIGKILL"));
    const pidOf = () => (existsSync(`${hung}.pid`) ? Number(readFileSync(`${hung}.pid`, "utf8")) : 0);
    await vi.waitFor(() => expect(pidOf()).toBeGreaterThan(0), { timeout: 20_000 });
    trainer.kill("SIGKILL");
    await once(trainer, "exit");
    const stat = () => {
      try {
        return readFileSync(`/proc/${pidOf()}/stat`, "utf8").replace(/^.*\) /s, "")[0];
      } catch {
        return "gone";
      }
    };
    await vi.waitFor(() => expect(["gone", "Z"]).toContain(stat()), { timeout: 5_000 });
  },
);

test.runIf(existsSync("/usr/bin/prlimit"))("it runs below a hard limit that is lower than ours", () => {
  const program = `import { runTool } from ${JSON.stringify(new URL("ffmpeg.ts", import.meta.url).href)};
    const { exitCode, errors } = await runTool("ffmpeg", ["-version"], { what: "a", timeoutMs: 60_000 });
    console.log(exitCode, errors);`;
  const node = [process.execPath, "--conditions=source", "--import", "tsx", "--eval", program];
  // Without the right that would let it raise a limit again.
  const run = spawnSync("sh", ["-c", 'ulimit -t 600; exec "$@"', "sh", ...withoutRights(node)], {
    encoding: "utf8",
  });
  expect(run.stdout + run.stderr).toBe("0 \n");
});

function withoutRights(command: readonly string[]): string[] {
  const drop = ["setpriv", "--bounding-set", "-sys_resource"];
  const canDrop = spawnSync(drop[0] ?? "", [...drop.slice(1), "true"]).status === 0;
  return canDrop ? [...drop, ...command] : [...command];
}

test("a program that stops reading its input is no error of ours", async () => {
  function* zeros() {
    for (let piece = 0; piece < 1000; piece++) yield new Uint8Array(65536);
  }
  const args = [
    "-f",
    "rawvideo",
    "-pix_fmt",
    "rgb24",
    "-s",
    "64x64",
    "-i",
    "pipe:0",
    "-frames:v",
    "1",
    "-f",
    "null",
    "-",
  ];
  const result = await runTool("ffmpeg", args, { what: "a", timeoutMs: 200_000, input: zeros() });
  expect(result.exitCode).toBe(0);
});

test("without ffmpeg it says what to install", async () => {
  vi.stubEnv("PATH", "/nonexistent");
  vi.stubEnv("FFMPEG_PATH", "");
  try {
    expect(findTool("ffmpeg")).toBeUndefined();
    await expect(runTool("ffmpeg", [], { what: "a", timeoutMs: 1000 })).rejects.toMatchObject({
      code: "tool_missing",
      message: "ffmpeg: not found on PATH; it is needed to read and write videos",
      remedy: expect.stringContaining("apt-get install ffmpeg"),
    });
    vi.stubEnv("FFMPEG_PATH", "/nowhere/ffmpeg");
    await expect(runTool("ffmpeg", [], { what: "a", timeoutMs: 1000 })).rejects.toThrow(
      'FFMPEG_PATH: got "/nowhere/ffmpeg", which is not a program',
    );
  } finally {
    vi.unstubAllEnvs();
  }
});

test("complaints lose their addresses and paths", () => {
  expect(firstComplaint("[h264 @ 0x55d0] Invalid NAL unit size\nmore\n")).toBe("Invalid NAL unit size");
  expect(firstComplaint("file:/tmp/x: y.mp4: Invalid data found\n")).toBe("Invalid data found");
  expect(firstComplaint("\n")).toBe("");
});
