/**
 * From whatever a job threw to what the user reads: an interruption that blames nobody, and libtorch's and the system's
 * words turned into conditions that the user can act on.
 */
import { readFileSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, resolve, sep } from "node:path";
import { AppError, toAppError } from "@ltx-trainer/contract";
import { asDiskFull, diskFull } from "../files/disk.ts";
import { unwritableReasons } from "../files/unwritable.ts";
import { interruption, isInterruption, type Written } from "./interrupt.ts";

export type Circumstances = {
  readonly command: string;
  readonly signal: AbortSignal;
  readonly written: Written;
  /** Folders the job writes to, as far as it says. */
  readonly out?: string | undefined;
  readonly home?: string | undefined;
};

export function toFailure(error: unknown, around: Circumstances): AppError {
  if (isInterruption(error, around.signal)) return interruption(around.command, around.written, error);
  return asFullDisk(error, around) ?? asRefused(error, around) ?? asKnown(error) ?? toAppError(error);
}

/** A message for strangers: of a path on this machine only the last name is left; addresses stay. */
export function withoutFolders(text: string): string {
  return text.replace(/(?<![\w:/.])(?:\/[^\s/:,'"]+)+\/(?=[^\s/])/g, "");
}

function asKnown(error: unknown): AppError | undefined {
  if (error instanceof AppError) return undefined;
  const text = error instanceof Error ? error.message : String(error);
  if (saysNoMemory(error)) {
    return new AppError({
      code: "out_of_memory",
      message: `out of memory: ${text.split("\n")[0]}`,
      remedy: memoryRemedy(),
      cause: error,
    });
  }
  if (/could not load the addon/.test(text)) {
    return new AppError({
      code: "libtorch_missing",
      message: text,
      remedy: "Run `npm run setup`; `npx ltx-trainer doctor` says what is missing.",
      cause: error,
    });
  }
  return undefined;
}

/** In the words of CUDA, libtorch, V8 and the system; the dynamic loader says "failed to map". */
function saysNoMemory(error: unknown): boolean {
  const text = error instanceof Error ? error.message : String(error);
  const words =
    /out of memory|cannot allocate memory|can't allocate memory|not enough memory|bad_alloc|failed to map segment|ENOMEM/i;
  return (
    words.test(text) || (error instanceof Error && error.cause !== undefined && saysNoMemory(error.cause))
  );
}

/** Smaller videos do not help against a limit on address space, which counts what is reserved and not what is used. */
function memoryRemedy(): string {
  const limit = addressSpaceLimit();
  if (limit === undefined)
    return "Use a lower --resolution or --number-of-frames, or --gradient-checkpointing on.";
  return `This process may reserve ${Math.round(limit / 1e6)} MB of address space. Remove that limit with \`ulimit -v unlimited\`.`;
}

function addressSpaceLimit(): number | undefined {
  try {
    const [, soft] = /^Max address space +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}

/** Names the folder that is full, and what to do about that one. */
function asFullDisk(error: unknown, around: Circumstances): AppError | undefined {
  const known =
    error instanceof AppError && error.code === "disk_full" ? String(error.facts.folder) : undefined;
  const { path } = (error ?? {}) as NodeJS.ErrnoException;
  const place = known === undefined && path === undefined ? fullest(around) : undefined;
  const folder = known ?? (path === undefined ? place?.folder : dirname(path)) ?? "";
  if (known === undefined && asDiskFull(error, folder) === undefined) return undefined;
  const { message, facts } = diskFull(folder);
  const { name } = place ?? placeOf(folder, around);
  return new AppError({
    code: "disk_full",
    message,
    facts,
    remedy: `Free some space there, ${runAgain(around)}; or name a folder on another disk with ${name}.`,
    cause: error,
  });
}

/** What the system refuses, why, and what to do besides naming another folder. */
const refusals: Readonly<Record<string, readonly [reason: string, remedy: string]>> = {
  EACCES: [unwritableReasons.EACCES, "Change the permissions"],
  EPERM: [unwritableReasons.EPERM, "Change the permissions"],
  EROFS: [unwritableReasons.EROFS, "Make it writable"],
  EEXIST: ["there is a file where a folder is needed", "Move that file away"],
  ENOTDIR: ["there is a file where a folder is needed", "Move that file away"],
  EISDIR: ["there is a folder where a file is to be written", "Move that folder away"],
  ENOENT: ["it was removed while the job was running", "Keep other programs from removing it"],
  EIO: ["the disk reports an error", "Check the disk"],
  EFBIG: ["larger than files may become here", "Remove the limit with `ulimit -f unlimited`"],
  EMFILE: ["too many open files", "Raise the limit with `ulimit -n 4096`"],
  ENFILE: ["too many open files", "Close other programs"],
};

function asRefused(error: unknown, around: Circumstances): AppError | undefined {
  if (error instanceof AppError) return undefined;
  const {
    code = "",
    path,
    dest,
    syscall,
  } = (error ?? {}) as NodeJS.ErrnoException & { readonly dest?: string };
  const [reason, remedy] = refusals[code] ?? [];
  // A write to an open file fails without its name.
  const where = dest ?? path ?? (syscall === undefined ? undefined : around.out);
  if (reason === undefined || where === undefined) return undefined;
  const place = placeOf(where, around);
  // What lies elsewhere was not put there by the job: that it is missing may be a fault of ours.
  if (code === "ENOENT" && place.folder === where) return undefined;
  return new AppError({
    code: "file_unreadable",
    message: `${where}: ${reason}`,
    remedy: `${remedy}, ${runAgain(around)}; or name another folder with ${place.name}.`,
    facts: { path: where },
    cause: error,
  });
}

function runAgain({ command, written }: Circumstances): string {
  const resume = command === "train" && written.checkpointStep !== undefined;
  return `then run the same command ${resume ? "with --resume" : "again"}`;
}

type Place = { readonly folder: string; readonly name: string };

function placesOf({ command, out, home }: Circumstances): Place[] {
  return [
    ...(out === undefined ? [] : [{ folder: command === "train" ? out : dirname(out), name: "--out" }]),
    ...(home === undefined ? [] : [{ folder: home, name: "--home or LTX_TRAINER_HOME" }]),
    { folder: tmpdir(), name: "TMPDIR" },
  ];
}

/** The innermost folder of the job that holds the path: one may lie inside another. */
function placeOf(path: string, around: Circumstances): Place {
  const places = placesOf(around).toSorted((a, b) => b.folder.length - a.folder.length);
  const holds = ({ folder }: Place) => `${resolve(path)}${sep}`.startsWith(`${resolve(folder)}${sep}`);
  return places.find(holds) ?? { folder: path, name: "--out, --home or TMPDIR" };
}

/** A write to an open file fails without its name: the full folder is the one with the least space left. */
function fullest(around: Circumstances): Place | undefined {
  const left = ({ folder }: Place) => {
    try {
      const { bavail, bsize } = statfsSync(folder);
      return bavail * bsize;
    } catch {
      return Number.POSITIVE_INFINITY;
    }
  };
  return placesOf(around).toSorted((a, b) => left(a) - left(b))[0];
}
