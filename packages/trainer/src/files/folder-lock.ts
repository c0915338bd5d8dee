/**
 * One training per output folder: a lock that names its process, so that one left behind by a killed process is known
 * for what it is.
 *
 * Each process creates a file of its own, then looks for others. Of two that start together at least one sees the other,
 * and a file is only ever deleted by its owner or after its owner's death, so no two trainings can both go on.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { AppError } from "@ltx-trainer/contract";

/** A process that was just killed may take a moment to leave, above all one that holds a GPU. */
const patienceMs = 3_000;
const pauseMs = 100;

const lockPattern = /^lock-([0-9a-f]+)-(\d+)-(\d+)$/;

export type FolderLock = { release(): void };

/**
 * Takes the lock in `folder`, which is made if it is not there. Waits a few seconds for a process that is about to end.
 *
 * @throws AppError `output_busy` naming the process that holds it
 */
export async function lockFolder(folder: string, out: string): Promise<FolderLock> {
  const path = join(folder, `lock-${machine()}-${process.pid}-${startOf(process.pid) ?? "0"}`);
  const release = () => rmSync(path, { force: true });
  for (const startedAt = performance.now(); ; ) {
    const created = create(folder, path);
    if (created === "held") throw busy(out, process.pid);
    if (created === "created") {
      const holder = otherHolder(folder, path);
      if (holder === undefined) return { release };
      release();
      if (performance.now() - startedAt > patienceMs) throw busy(out, holder);
    }
    // Two that start together must not step aside for each other forever.
    await delay(pauseMs * (0.5 + Math.random()));
  }
}

/** @throws AppError `output_busy` while another training holds `folder`; nothing is written or removed */
export function refuseHeld(folder: string, out: string): void {
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const [, where, pid = "", start = ""] = lockPattern.exec(name) ?? [];
    if (where === machine() && isRunning(Number(pid), start)) throw busy(out, Number(pid));
  }
}

/** Whether a name in the scratch folder is that of a lock. */
export function isLockName(name: string): boolean {
  return lockPattern.test(name);
}

function create(folder: string, path: string): "created" | "held" | "gone" {
  mkdirSync(folder, { recursive: true });
  try {
    closeSync(openSync(path, "wx"));
    return "created";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return "held";
    // The training that just ended has removed the folder.
    if (code === "ENOENT") return "gone";
    throw error;
  }
}

/** The living process that holds the folder besides this one; locks of dead ones are deleted. */
function otherHolder(folder: string, own: string): number | undefined {
  for (const name of readdirSync(folder)) {
    const [, where, pid = "", start = ""] = lockPattern.exec(name) ?? [];
    if (where === undefined || join(folder, name) === own) continue;
    // Processes of another machine or container cannot be seen from here: after a restart in a new container its lock
    // would hold forever.
    if (where === machine() && isRunning(Number(pid), start)) return Number(pid);
    rmSync(join(folder, name), { force: true });
  }
  return undefined;
}

function isRunning(pid: number, start: string): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const now = startOf(pid);
  return now === undefined || now === start;
}

/**
 * When a process started, in clock ticks since boot: a process id is used again, both together are not. "gone" for one
 * that has ended and was not yet collected by its parent; undefined where it cannot be told.
 */
function startOf(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? "gone" : fields[19];
  } catch {
    return undefined;
  }
}

let machineName: string | undefined;

/** This boot of this machine and its process ids: in another container the same number is another process. */
function machine(): string {
  if (machineName !== undefined) return machineName;
  const parts = [hostname()];
  try {
    parts.push(readFileSync("/proc/sys/kernel/random/boot_id", "utf8"), readlinkSync("/proc/self/ns/pid"));
  } catch {
    // Not Linux: the name of the machine has to do.
  }
  machineName = createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 12);
  return machineName;
}

function busy(out: string, pid: number): AppError {
  return new AppError({
    code: "output_busy",
    message: `out: got ${out}, into which another training is writing (process ${pid}); expected a folder of its own`,
    remedy: "Wait until it has ended, or choose another --out.",
    retryable: true,
    facts: { out, pid },
  });
}
