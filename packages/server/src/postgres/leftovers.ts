/** What a PostgreSQL that was killed leaves behind, and whether one is still running. */
import { readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";

export const socketName = ".s.PGSQL.5432";

/** The process that runs on a data folder, or undefined. A pid that went to another program does not count. */
export function runningPid(dataFolder: string): number | undefined {
  const pid = lockedBy(join(dataFolder, "postmaster.pid"));
  return pid !== undefined && isPostgres(pid) ? pid : undefined;
}

function lockedBy(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8").split("\n")[0]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Removes lock files of a process that is gone.
 *
 * PostgreSQL does so itself, but takes a zombie for alive, and where pid 1 does not reap (containers) zombies stay.
 */
export function removeStaleLocks(dataFolder: string, socketFolder: string): void {
  if (runningPid(dataFolder) !== undefined) return;
  rmSync(join(dataFolder, "postmaster.pid"), { force: true });
  rmSync(join(socketFolder, `${socketName}.lock`), { force: true });
  rmSync(join(socketFolder, socketName), { force: true });
}

function isPostgres(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    // The state follows the name, which is in parentheses and may hold anything.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    if (stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")) return false;
    return /postgres/.test(readlinkSync(`/proc/${pid}/exe`));
  } catch {
    return false;
  }
}
