/** Finds a running PostgreSQL, and removes what a killed one leaves behind. */
import { readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";

export const socketName = ".s.PGSQL.5432";

/** Returns the PostgreSQL process of a data folder. A pid that another program has now does not count. */
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
 * PostgreSQL does so itself, but treats a zombie as alive. Where pid 1 does not reap (containers), zombies stay.
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
