/**
 * The only file that runs ffmpeg and ffprobe.
 *
 * Idea: media are hostile until decoded. Every run has a time limit and ends with SIGKILL; inputs may open nothing but the
 * one named file in a handful of container formats; where `prlimit` exists, memory, processor time and open files are
 * limited too. Nothing is ever put through a shell.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AppError } from "@ltx-trainer/contract";
import { findOnPath, isExecutable, killGroup, tied } from "@ltx-trainer/host";

export type Tool = "ffmpeg" | "ffprobe";

/**
 * Containers that are opened, by demuxer name. Each reads the one file it is given: playlists and image lists, which name
 * others, are refused whatever they are called.
 */
const inputFormats = [
  ...["mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi"],
  ...["mpegts", "mpeg", "mxf", "dv", "flv", "asf", "ogg", "apng", "bmp_pipe"],
];

const limits = {
  /** Address space, not memory in use: eight decoder threads of a 4K video reserve about 3 GB. */
  addressSpaceBytes: 8 * 2 ** 30,
  cpuSeconds: 3600,
  openFiles: 64,
};

/** Enough for 4K H.264; more only raises the memory of each decoder. Also keeps filters from taking every core. */
export const ffmpegThreads = 4;

/** What every run of ffmpeg starts with. */
const ffmpegStart = ["-hide_banner", "-nostats", "-filter_threads", String(ffmpegThreads)];

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

const decodersOf = new Map<string, Promise<string>>();

/** Whether the installed ffmpeg has a decoder of this name. */
export async function hasDecoder(name: string): Promise<boolean> {
  const path = requireTool("ffmpeg");
  const listed = decodersOf.get(path) ?? listDecoders();
  decodersOf.set(path, listed);
  return new RegExp(`^ \\S+ ${name} `, "m").test(await listed);
}

async function listDecoders(): Promise<string> {
  const pieces: Uint8Array[] = [];
  const options = { what: "ffmpeg -decoders", timeoutMs: 60_000 };
  await runTool("ffmpeg", ["-decoders"], { ...options, onOutput: (piece) => pieces.push(piece) });
  return Buffer.concat(pieces).toString("latin1");
}

/** What comes before every input file. The path is given as `file:`, so that a name with a colon is not a protocol. */
export function inputArguments(path: string): string[] {
  return ["-protocol_whitelist", "file", "-format_whitelist", inputFormats.join(","), "-i", `file:${path}`];
}

export type RunOptions = {
  /** What is being done, for error messages: "reading clips/cat.mp4". */
  readonly what: string;
  readonly timeoutMs: number;
  /** How long it may write nothing at all. Default: as long as it runs. */
  readonly quietMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with each piece of stdout, in order. */
  readonly onOutput?: (piece: Uint8Array) => void;
  /** Called with every line of the log that is no error; the log is verbose then. */
  readonly onNotice?: (line: string) => void;
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
  const logLevel = options.onNotice === undefined ? "level+error" : "level+verbose";
  const start = tool === "ffmpeg" ? ffmpegStart : [];
  const [program, programArgs] = limited(requireTool(tool), ["-v", logLevel, ...start, ...args]);
  // One that hangs must not outlive a trainer that is killed.
  const child = spawn(...tied(program, programArgs, { whenOrphaned: "KILL" }), {
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    env: childEnvironment(),
    // Its own process group: Ctrl-C in a terminal must stop the job in good order, not make a video look broken.
    detached: true,
  });
  const { timeoutMs, quietMs } = options;
  let stopped: string | undefined;
  const stop = (why: string) => {
    stopped ??= why;
    killGroup(child);
  };
  const timer = setTimeout(() => stop(`after ${seconds(timeoutMs)}`), timeoutMs);
  const quietTimer =
    quietMs === undefined
      ? undefined
      : setTimeout(() => stop(`after ${seconds(quietMs)} without output`), quietMs);
  // The group: the named program may be a script that starts the real one, which holds the pipes open.
  const abort = () => killGroup(child);
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    const closed = once(child, "close").catch((cause) => {
      throw notStarted(tool, program, cause);
    });
    const errors = collectErrors(child.stderr, options.onNotice);
    child.stdout?.on("data", (piece: Uint8Array) => {
      quietTimer?.refresh();
      options.onOutput?.(piece);
    });
    const [[exitCode, killedBy]] = await Promise.all([closed, feed(child, options.input)]);
    options.signal?.throwIfAborted();
    if (stopped !== undefined) throw tooSlow(tool, options, stopped);
    return { exitCode, killedBy, errors: errors() } as RunResult;
  } finally {
    clearTimeout(timer);
    clearTimeout(quietTimer);
    options.signal?.removeEventListener("abort", abort);
    killGroup(child);
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

function seconds(milliseconds: number): string {
  return `${Math.round(milliseconds / 1000)} s`;
}

function tooSlow(tool: Tool, { what, timeoutMs }: RunOptions, why: string): AppError {
  const reason = `${tool} was stopped ${why}`;
  return new AppError({
    code: "tool_failed",
    message: `${what}: ${reason}`,
    facts: { tool, timeoutMs, reason },
  });
}

function limited(program: string, args: readonly string[]): [string, string[]] {
  const prlimit = findOnPath("prlimit");
  if (prlimit === undefined) return [program, [...args]];
  const hard = hardLimits();
  // A hard limit can be lowered by everybody, and raised by nobody: where it is below ours, it stays.
  const bound = (ours: number, name: string) => Math.min(ours, hard.get(name) ?? ours);
  const bounds = [
    `--as=${bound(limits.addressSpaceBytes, "Max address space")}`,
    `--cpu=${bound(limits.cpuSeconds, "Max cpu time")}`,
    `--nofile=${bound(limits.openFiles, "Max open files")}`,
    "--core=0",
  ];
  return [prlimit, [...bounds, program, ...args]];
}

/** The limits of this process that nothing it starts can exceed, by the system's names; without those that are open. */
function hardLimits(): Map<string, number> {
  try {
    const lines = readFileSync("/proc/self/limits", "utf8").matchAll(/^(Max .*?) {2,}\S+ +(\d+) /gm);
    return new Map([...lines].map(([, name = "", hard]) => [name, Number(hard)]));
  } catch {
    return new Map();
  }
}

/** Only what a dynamically linked program needs; no proxies, no tokens. */
function childEnvironment(): Record<string, string> {
  const names = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "TMPDIR"];
  const kept = names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  // Every memory arena reserves 64 MB of address space, one per thread on a big machine: too much for the limit above.
  return { ...Object.fromEntries(kept), LC_ALL: "C", AV_LOG_FORCE_NOCOLOR: "1", MALLOC_ARENA_MAX: "4" };
}

/** Sorts the lines of the log by their level, which stands in brackets; what has none is an error too. */
function collectErrors(stream: NodeJS.ReadableStream | null, onNotice: RunOptions["onNotice"]): () => string {
  let text = "";
  let rest = "";
  const take = (line: string) => {
    if (line.startsWith("If you want to help, upload a sample")) return;
    const isNotice = /^(\[[^\]]*\] )*\[(warning|info|verbose|debug|trace)\]/.test(line);
    if (isNotice) onNotice?.(line);
    else if (text.length < maxErrorCharacters) text += `${line.slice(0, maxErrorCharacters - text.length)}\n`;
  };
  stream?.setEncoding("utf8");
  stream?.on("data", (piece: string) => {
    const lines = (rest + piece).split(/[\r\n]+/);
    rest = (lines.pop() ?? "").slice(-maxErrorCharacters);
    for (const line of lines) take(line);
  });
  return () => {
    if (rest !== "") take(rest);
    rest = "";
    return text;
  };
}

const maxErrorCharacters = 16_384;

/** The machine's fault, not the file's: no other file would do better. */
function notStarted(tool: Tool, program: string, cause: Error): AppError {
  const reason = (cause as NodeJS.ErrnoException).code ?? cause.message;
  return new AppError({
    code: "tool_missing",
    message: `${tool}: ${program} cannot be started: ${reason}`,
    remedy: installHint,
    facts: { tool, reason },
    cause,
  });
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
  if (/ not on whitelist/.test(complaint)) return "a kind of file that is not read: convert it to mp4";
  return complaint === "moov atom not found" ? "its index is missing (cut short, or not a video)" : complaint;
}
