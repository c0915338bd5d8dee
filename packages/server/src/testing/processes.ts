/** The processes of this machine, read from /proc: a bare system has no `ps`. */
import { readdirSync, readFileSync } from "node:fs";

/** Ids of the processes whose command line contains a text. Zombies have none. */
export function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => commandLine(pid).includes(text));
}

/**
 * A process and everything it started that is still its descendant; tests send them signals.
 *
 * @throws Error when there is no such process: every process of the machine descends from "0"
 */
export function familyOf(pid: number | undefined): number[] {
  if (pid === undefined || pid <= 1)
    throw new Error(`got process ${pid}, expected one that the test started`);
  const parents = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), parentOf(Number(name))] as const);
  const family = [pid];
  for (const member of family) {
    family.push(...parents.filter(([, parent]) => parent === member).map(([child]) => child));
  }
  return family;
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    // It ended between the two looks.
    return -1;
  }
}

/** The user that a process runs as. */
export function userOf(pid: number): number {
  return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    // It ended between the two looks.
    return "";
  }
}
