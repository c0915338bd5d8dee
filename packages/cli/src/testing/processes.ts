/** The processes of this machine, read from /proc: a bare system has no `ps`. */
import { readdirSync, readFileSync } from "node:fs";

/** Ids of the processes whose command line contains a text. Zombies have none. */
export function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => commandLine(pid).includes(text));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    // It ended between the two looks.
    return "";
  }
}

/** Ids of the processes that a process started. */
export function childrenOf(parent: number): number[] {
  const isChild = (pid: string) => {
    try {
      return new RegExp(`^PPid:\\s+${parent}$`, "m").test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      // It ended between the two looks.
      return false;
    }
  };
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isChild(name))
    .map(Number);
}
