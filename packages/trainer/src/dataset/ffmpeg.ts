/**
 * The only file that runs ffmpeg and ffprobe.
 *
 * Idea: media are hostile until decoded. Every run has a time limit and ends with SIGKILL; inputs may open nothing but the
 * one named file in a handful of container formats; where `prlimit` exists, memory, processor time and open files are
 * limited too. Nothing is ever put through a shell.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AppError } from "@ltx-trainer/contract";

export type Tool = "ffmpeg" | "ffprobe";

/** Containers that are opened, by demuxer name. A playlist or an image list renamed to .mp4 is refused. */
const inputFormats = ["mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi"];

const limits = {
  /** Address space, not memory in use: eight decoder threads of a 4K video reserve about 3 GB. */
  addressSpaceBytes: 8 * 2 ** 30,
  cpuSeconds: 3600,
  openFiles: 64,
};

/** Enough for 4K H.264; more only raises the memory of each decoder. Also keeps filters from taking every core. */
export const ffmpegThreads = 4;

/** What every run of ffmpeg starts with. */
const ffmpegStart = ["-hide_banner", "-v", "error", "-filter_threads", String(ffmpegThreads)];

const installHint =
  "Install ffmpeg (Debian and Ubuntu: `apt-get install ffmpeg`; macOS: `brew install ffmpeg`), or name the programs in " +
  "FFMPEG_PATH and FFPROBE_PATH.";

/** The program's path, or undefined when it is not installed. `FFMPEG_PATH` and `FFPROBE_PATH` come before `PATH`. */
export function findTool(tool: Tool): string | undefined {
  const configured = process.env[tool === "ffmpeg" ? "FFMPEG_PATH" : "FFPROBE_PATH"];
  if (configured !== undefined && configured !== "")
    return isExecutable(configured) ? configured : findOnPath(configured);
  return findOnPath(tool);
}

function findOnPath(name: string): string | undefined {
  if (isAbsolute(name)) return isExecutable(name) ? name : undefined;
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * @throws AppError `tool_missing`
 */
function requireTool(tool: Tool): string {
  const path = findTool(tool);
  if (path !== undefined) return path;
  const variable = tool === "ffmpeg" ? "FFMPEG_PATH" : "FFPROBE_PATH";
  const configured = process.env[variable];
  const where = configured
    ? `${variable}: got "${configured}", which is not a program`
    : `${tool}: not found on PATH`;
  throw new AppError({
    code: "tool_missing",
    message: `${where}; it is needed to read and write videos`,
    remedy: installHint,
    facts: { tool },
  });
}

/** What comes before every input file. The path is given as `file:`, so that a name with a colon is not a protocol. */
export function inputArguments(path: string): string[] {
  return ["-protocol_whitelist", "file", "-format_whitelist", inputFormats.join(","), "-i", `file:${path}`];
}

export type RunOptions = {
  /** What is being done, for error messages: "reading clips/cat.mp4". */
  readonly what: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with each piece of stdout, in order. */
  readonly onOutput?: (piece: Uint8Array) => void;
  /** Written to stdin, waiting for the program to take it. */
  readonly input?: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
};

export type RunResult = {
  readonly exitCode: number | null;
  readonly killedBy: NodeJS.Signals | null;
  /** The first 16 kB. */
  readonly errors: string;
};

/**
 * Runs the program to its end. A bad exit status is an answer here, not an exception.
 *
 * @throws AppError `tool_missing`; `tool_failed` when the time limit is reached
 */
export async function runTool(tool: Tool, args: readonly string[], options: RunOptions): Promise<RunResult> {
  options.signal?.throwIfAborted();
  const [program, programArgs] = limited(
    requireTool(tool),
    tool === "ffmpeg" ? [...ffmpegStart, ...args] : args,
  );
  const child = spawn(program, programArgs, {
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    env: childEnvironment(),
    // Its own process group: Ctrl-C in a terminal must stop the job in good order, not make a video look broken.
    detached: true,
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill("SIGKILL");
  }, options.timeoutMs);
  const abort = () => child.kill("SIGKILL");
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    const closed = once(child, "close");
    const errors = collectText(child.stderr, 16_384);
    child.stdout?.on("data", (piece: Uint8Array) => options.onOutput?.(piece));
    const [[exitCode, killedBy]] = await Promise.all([closed, feed(child, options.input)]);
    options.signal?.throwIfAborted();
    if (timedOut) throw tooSlow(tool, options);
    return { exitCode, killedBy, errors: errors() } as RunResult;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", abort);
    child.kill("SIGKILL");
  }
}

/** A program that ends early closes its stdin; that is seen in its exit status, not here. */
async function feed(child: ChildProcess, input: RunOptions["input"]): Promise<void> {
  if (input === undefined || child.stdin === null) return;
  try {
    await pipeline(Readable.from(input), child.stdin);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "EPIPE" && code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
  }
}

function tooSlow(tool: Tool, { what, timeoutMs }: RunOptions): AppError {
  const reason = `${tool} was stopped after ${Math.round(timeoutMs / 1000)} s`;
  return new AppError({
    code: "tool_failed",
    message: `${what}: ${reason}`,
    facts: { tool, timeoutMs, reason },
  });
}

function limited(program: string, args: readonly string[]): [string, string[]] {
  const prlimit = findOnPath("prlimit");
  if (prlimit === undefined) return [program, [...args]];
  const { addressSpaceBytes, cpuSeconds, openFiles } = limits;
  const bounds = [`--as=${addressSpaceBytes}`, `--cpu=${cpuSeconds}`, `--nofile=${openFiles}`, "--core=0"];
  return [prlimit, [...bounds, program, ...args]];
}

/** Only what a dynamically linked program needs; no proxies, no tokens. */
function childEnvironment(): Record<string, string> {
  const names = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "TMPDIR"];
  const kept = names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  // Every memory arena reserves 64 MB of address space, one per thread on a big machine: too much for the limit above.
  return { ...Object.fromEntries(kept), LC_ALL: "C", AV_LOG_FORCE_NOCOLOR: "1", MALLOC_ARENA_MAX: "4" };
}

function collectText(stream: NodeJS.ReadableStream | null, maxCharacters: number): () => string {
  let text = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (piece: string) => {
    if (text.length < maxCharacters) text += piece.slice(0, maxCharacters - text.length);
  });
  return () => text;
}

/** The first thing ffmpeg complained about, without addresses and paths; "" when it said nothing. */
export function firstComplaint(errors: string): string {
  const lines = errors
    .split("\n")
    .map((line) =>
      line
        .replace(/^(\[[^\]]*\] )+/, "")
        .replace(/^file:.*?: (?=[A-Z])/, "")
        .trim(),
    )
    .filter((line) => line !== "");
  const complaint = lines[0] ?? "";
  return complaint === "moov atom not found" ? "its index is missing (cut short, or not a video)" : complaint;
}
