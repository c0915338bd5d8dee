/**
 * Running the trainer: a program started by path, given a job file, heard through JSON lines.
 *
 * It has a process group of its own, so that Ctrl-C reaches it through us only: the first asks it to stop in good order,
 * the second ends it at once. Where `setpriv` exists, the kernel ends it when we die, so that it never trains on unseen.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import {
  AppError,
  decodeEvent,
  type EventOf,
  type JobEvent,
  type TrainerCommand,
} from "@ltx-trainer/contract";
import { trainerProgram } from "./places.ts";

export type TrainerRun = {
  readonly command: TrainerCommand;
  readonly job: Readonly<Record<string, unknown>>;
  readonly onEvent: (event: JobEvent) => void;
  /** A line the trainer, or a library in it, wrote to stderr. */
  readonly onNoise: (line: string) => void;
  /** Called when the user asks to stop; `times` counts from 1. */
  readonly onInterrupt?: (times: number) => void;
};

/** Lines of stderr that are shown when the trainer dies without a word. */
const keptNoise = 20;

/**
 * Runs one job to its end.
 *
 * @returns the outputs of the `finished` event
 * @throws AppError what the trainer reported, or `trainer_died`, or `interrupted`
 */
export async function runTrainer(run: TrainerRun): Promise<Readonly<Record<string, unknown>>> {
  const program = trainerProgram();
  const folder = mkdtempSync(join(tmpdir(), "ltx-trainer-job-"));
  const jobFile = join(folder, "job.json");
  try {
    // A data URI or a signed address may be secret.
    writeFileSync(jobFile, JSON.stringify(run.job), { mode: 0o600 });
    return await listen(start([program, run.command, jobFile]), run);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function start(args: readonly string[]): ChildProcess {
  const setpriv = findOnPath("setpriv");
  const node = [process.execPath, ...args];
  const [program = "", ...rest] =
    setpriv === undefined ? node : [setpriv, "--pdeathsig", "KILL", "--", ...node];
  return spawn(program, rest, { stdio: ["ignore", "pipe", "pipe"], detached: true });
}

async function listen(child: ChildProcess, run: TrainerRun): Promise<Readonly<Record<string, unknown>>> {
  let last: EventOf<"finished"> | EventOf<"failed"> | undefined;
  const noise: string[] = [];
  const lines = eachLine(child.stdout, (line) => {
    const event = decodeEvent(line);
    if (event === undefined) return void noise.push(line);
    if (event.type === "finished" || event.type === "failed") last = event;
    run.onEvent(event);
  });
  const complaints = eachLine(child.stderr, (line) => {
    noise.push(line);
    run.onNoise(line);
  });
  const interrupts = passInterrupts(child, run);
  try {
    const [ending] = await Promise.all([ended(child), lines, complaints]);
    if (last?.type === "finished" && ending.code === 0) return last.outputs;
    if (last?.type === "failed") throw new AppError(last);
    throw interrupts.count() > 0 ? wasInterrupted(run) : died(run, ending, noise.slice(-keptNoise));
  } finally {
    interrupts.stop();
    child.kill("SIGKILL");
  }
}

type Ending = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

function ended(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
}

async function eachLine(stream: NodeJS.ReadableStream | null, take: (line: string) => void): Promise<void> {
  if (stream === null) return;
  for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }))
    take(line);
}

/** Ctrl-C and polite kills go to the trainer, which ends by itself; asked twice, it is ended. */
function passInterrupts(child: ChildProcess, run: TrainerRun): { count(): number; stop(): void } {
  let times = 0;
  const pass = () => {
    times++;
    run.onInterrupt?.(times);
    child.kill(times === 1 ? "SIGINT" : "SIGKILL");
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, pass);
  return {
    count: () => times,
    stop: () => {
      for (const signal of signals) process.off(signal, pass);
    },
  };
}

function wasInterrupted({ command }: TrainerRun): AppError {
  return new AppError({
    code: "interrupted",
    message: "interrupted",
    remedy:
      command === "train"
        ? "Run the same command with --resume to continue from the last checkpoint."
        : "Run the same command again.",
    retryable: true,
  });
}

const outOfMemoryHint =
  "Something killed it, most likely the system for lack of memory. Use a lower --resolution or --number-of-frames.";
const doctorHint = "`ltx-trainer doctor` checks the installation.";

function died({ command }: TrainerRun, { code, signal }: Ending, noise: readonly string[]): AppError {
  const how = signal === null ? `with status ${code}` : `by ${signal}`;
  const isKill = signal === "SIGKILL" || code === 137;
  return new AppError({
    code: "trainer_died",
    message: [`the trainer ended ${how} without a result`, ...noise.map((line) => `  ${line}`)].join("\n"),
    remedy:
      (isKill ? outOfMemoryHint : doctorHint) + (command === "train" ? " Then continue with --resume." : ""),
    retryable: true,
    facts: { exitCode: code, signal },
  });
}

function findOnPath(name: string): string | undefined {
  const candidates = (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
