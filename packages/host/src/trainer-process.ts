/**
 * Running the trainer: a program started by path, given a job file, heard through JSON lines.
 */
import type { ChildProcess } from "node:child_process";
import {
  chownSync,
  closeSync,
  fchownSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { AppError, decodeEvent, type EventOf, interrupted, type JobEvent } from "@ltx-trainer/contract";
import { eachLine, type LineLimits } from "./each-line.ts";
import { trainerProgram } from "./places.ts";
import { type Account, killGroup, sacrificeFirst, spawnTied } from "./spawn-tied.ts";

export type TrainerRun = {
  readonly command: string;
  /** Path of another program that takes `<command> <job file>` and prints events. Default: the trainer. */
  readonly program?: string | undefined;
  readonly job: Readonly<Record<string, unknown>>;
  /** Where the job file is written and left. Default: a temporary place, removed at the end. */
  readonly jobFile?: string;
  /** Default: our own environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** For a job with strangers' data: no new privileges, first to be ended when memory ends, and an account of its own. */
  readonly confinement?: { readonly account: Account | undefined };
  readonly onEvent: (event: JobEvent) => void;
  /** A line that is no event: something a library printed. */
  readonly onNoise: (line: string, stream: "stdout" | "stderr") => void;
};

export type TrainerProcess = {
  readonly pid: number | undefined;
  /**
   * The outputs of the `finished` event. Settles only when the process is gone.
   *
   * @throws AppError what the trainer reported, or `trainer_died`, or `interrupted`
   */
  readonly outputs: Promise<Readonly<Record<string, unknown>>>;
  /** Asks it to stop in good order: a training writes a checkpoint first. */
  stop(): void;
  /** Ends it and everything it started at once. */
  kill(): void;
};

/** An `inspect` of a large dataset ends with a line of many megabytes. */
const ownLines: LineLimits = { longest: 256 * 2 ** 20 };
/**
 * A trainer that its data has taken over may print without end; it then waits for its pipe. A dataset of 20,000 broken files, with
 * a line about each, takes 4 s.
 */
const strangersLines: LineLimits = { longest: 2 ** 20, perSecond: 5_000 };
/** Of a line that is no event, in characters. */
const longestNoise = 4_000;
/** Lines of stderr that are shown when the trainer dies without a word. */
const keptNoise = 20;

/**
 * Starts one job.
 *
 * @throws AppError `tool_missing` before the first build
 */
export function startTrainer(run: TrainerRun): TrainerProcess {
  const program = run.program ?? trainerProgram();
  const jobFile = run.jobFile ?? join(makeJobFolder(), "job.json");
  // Seen by the trainer while tensor work keeps it from hearing signals.
  const stopFile = `${jobFile}.stop`;
  remove(stopFile);
  const { confinement } = run;
  const account = confinement?.account;
  try {
    writeJobFile(jobFile, run.job, account);
  } catch (error) {
    if (run.jobFile !== undefined) throw error;
    remove(dirname(jobFile));
    throw unwritable(error);
  }
  if (account !== undefined && run.jobFile === undefined) {
    chownSync(dirname(jobFile), account.uid, account.gid);
  }
  const child = spawnTied([program, run.command, jobFile], {
    env: run.env,
    stdio: ["ignore", "pipe", "pipe"],
    whenOrphaned: "KILL",
    account,
    noNewPrivileges: confinement !== undefined,
  });
  if (confinement !== undefined) sacrificeFirst(child);
  let stopRequests = 0;
  const outputs = listen(child, run, () => stopRequests > 0).finally(() => {
    remove(run.jobFile === undefined ? dirname(jobFile) : stopFile);
  });
  return {
    pid: child.pid,
    outputs,
    stop: () => {
      stopRequests++;
      child.kill("SIGINT");
      leaveStopFile(stopFile);
    },
    kill: () => {
      stopRequests++;
      killGroup(child);
    },
  };
}

/** @throws AppError `file_unreadable` when the temporary folder cannot be written */
function makeJobFolder(): string {
  try {
    removeAbandoned(tmpdir());
    return mkdtempSync(join(tmpdir(), `ltx-trainer-job-${process.pid}-`));
  } catch (cause) {
    throw unwritable(cause);
  }
}

/** Long after every trainer has read its job file: a process of another container looks dead from here. */
const abandonedMs = 60 * 60_000;

/** Removes the job folders of commands that were killed, as far as they are ours: a job file may hold a signed address. */
function removeAbandoned(folder: string): void {
  for (const name of entriesOf(folder)) {
    const [, pid] = /^ltx-trainer-job-(\d+)-/.exec(name) ?? [];
    if (pid === undefined || isRunning(Number(pid))) continue;
    const path = join(folder, name);
    try {
      if (Date.now() - statSync(path).mtimeMs > abandonedMs) remove(path);
    } catch {
      // It is somebody else's, or another command has just removed it.
    }
  }
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function unwritable(cause: unknown): AppError {
  return new AppError({
    code: "file_unreadable",
    message: `temporary folder: ${tmpdir()} cannot be written (${(cause as NodeJS.ErrnoException).code})`,
    remedy: "Set TMPDIR to a folder that exists, has space and that this account may write to.",
    facts: { folder: tmpdir() },
    cause,
  });
}

/**
 * As a new file: the folder may be a confined trainer's own, and a link that an earlier one left there would lead our write,
 * and the change of owner, to any file of the machine.
 */
function writeJobFile(path: string, job: TrainerRun["job"], account: Account | undefined): void {
  remove(path);
  // A data URI or a signed address may be secret.
  const descriptor = openSync(path, "wx", 0o600);
  try {
    writeFileSync(descriptor, JSON.stringify(job));
    if (account !== undefined) fchownSync(descriptor, account.uid, account.gid);
  } finally {
    closeSync(descriptor);
  }
}

/** The signal alone stops it too, only later: a full disk is no reason to fail here. */
function leaveStopFile(path: string): void {
  try {
    // Only as a new file, for the same reason.
    writeFileSync(path, "", { flag: "wx" });
  } catch {
    // It is there already, or its folder is gone because the trainer has ended.
  }
}

/** Whatever is there: a link itself, a folder with all that is in it. */
function remove(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

async function listen(
  child: ChildProcess,
  run: TrainerRun,
  wasAsked: () => boolean,
): Promise<Readonly<Record<string, unknown>>> {
  let last: EventOf<"finished"> | EventOf<"failed"> | undefined;
  let reached: Reached = "nothing";
  const noise: string[] = [];
  const hear = (printed: string, stream: "stdout" | "stderr") => {
    const line = printed.slice(0, longestNoise);
    noise.push(line);
    if (noise.length > keptNoise) noise.shift();
    run.onNoise(line, stream);
  };
  const limits = run.confinement === undefined ? ownLines : strangersLines;
  const lines = eachLine(child.stdout, limits, (line) => {
    const event = decodeEvent(line);
    if (event === undefined) return hear(line, "stdout");
    if (event.type === "finished" || event.type === "failed") last = event;
    if (event.type === "trained") reached = "trained";
    else if (reached === "nothing" && event.type === "phase") reached = "begun";
    run.onEvent(event);
  });
  const complaints = eachLine(child.stderr, limits, (line) => hear(line, "stderr"));
  try {
    const [ending] = await Promise.all([ended(child), lines, complaints]);
    if (last?.type === "finished" && ending.code === 0) return last.outputs;
    if (last?.type === "failed") throw new AppError(last);
    throw wasAsked() ? interrupted({ remedy: howToGoOn(run, reached) }) : died(run, reached, ending, noise);
  } finally {
    killGroup(child);
  }
}

type Ending = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

function ended(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
    // What it started may hold its pipes open: without it they have nothing to say.
    child.once("exit", () => killGroup(child));
  });
}

/** How far a job came that ended without a word of its own. "begun": its output folder holds something to resume. */
type Reached = "nothing" | "begun" | "trained";

/** What brings an ended job to its end. */
function howToGoOn({ command }: TrainerRun, reached: Reached): string {
  if (command !== "train" || reached === "nothing") return "Run the same command again.";
  if (reached === "begun") return "Run the same command with --resume to continue.";
  return "The LoRA is complete, with its config.json. Run the same command with --resume to make the videos, or use `ltx-trainer generate --lora`.";
}

const killedHint = "Something killed it, most likely the system for lack of memory.";
const memoryHint = "It ran out of memory. Free some; `ulimit -v` shows whether it is limited.";
const doctorHint = "`ltx-trainer doctor` checks the installation.";

function died(
  run: TrainerRun,
  reached: Reached,
  { code, signal }: Ending,
  noise: readonly string[],
): AppError {
  const how = signal === null ? `with status ${code}` : `by ${signal}`;
  const isKill = signal === "SIGKILL" || code === 137;
  const isMemory =
    isKill || noise.some((line) => /out of memory|malloc failed|bad_alloc|allocate memory/i.test(line));
  // Smaller videos are another training, which --resume refuses.
  const smaller =
    run.command === "train"
      ? "If that happens again, train with a lower --resolution or --number-of-frames and another --out."
      : "If that happens again, use a lower --resolution or --number-of-frames.";
  const hints = [isKill ? killedHint : isMemory ? memoryHint : doctorHint, howToGoOn(run, reached)];
  if (isMemory && reached !== "trained") hints.push(smaller);
  return new AppError({
    code: "trainer_died",
    message: [`the trainer ended ${how} without a result`, ...noise.map((line) => `  ${line}`)].join("\n"),
    remedy: hints.join(" "),
    retryable: true,
    facts: { exitCode: code, signal },
  });
}
