/**
 * Kills processes that outlive their trainer. A process that started its own session is not in the trainer's group, and could
 * read and write the folders of all later trainings.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

type Process = {
  readonly pid: number;
  readonly parent: number;
  readonly uid: number;
  /** Set for every trainer. Its children inherit it and cannot clear it. */
  readonly hasNoNewPrivileges: boolean;
};

/** Running trainers of this process. If the server is init, it is also the parent of what they leave behind. */
export const liveTrainers = new Set<number>();

/** A killed process may have started others. Bounds the wait if they start faster than they are killed. */
const rounds = 50;
const roundMs = 20;

/**
 * Kills processes of the trainers' account that belong to no running trainer. Returns when none is left, or after the last
 * round.
 *
 * @param trainer the process that has exited
 */
export async function endLeftovers(uid: number, trainer: number | undefined): Promise<void> {
  if (trainer !== undefined) liveTrainers.delete(trainer);
  for (let round = 0; round < rounds; round++) {
    const left = leftovers(uid, trainer);
    if (left.length === 0) return;
    for (const pid of left) kill(pid);
    await delay(roundMs);
  }
}

/** A trainer's parent is its server. A leftover's parent is init, which may be the server itself, or another ancestor. */
function leftovers(uid: number, trainer: number | undefined): number[] {
  const all = new Map(processes().map((process) => [process.pid, process]));
  const adopters = withAncestors(process.pid, all);
  const topOf = (member: Process): Process => {
    const parent = all.get(member.parent);
    return parent === undefined || parent.uid !== uid ? member : topOf(parent);
  };
  return [...all.values()]
    .filter((member) => member.uid === uid && member.hasNoNewPrivileges)
    .filter((member) => {
      const top = topOf(member);
      return top.pid === trainer || (adopters.has(top.parent) && !liveTrainers.has(top.pid));
    })
    .map(({ pid }) => pid);
}

function withAncestors(pid: number, all: ReadonlyMap<number, Process>): ReadonlySet<number> {
  const found = new Set([pid]);
  for (
    let parent = all.get(pid)?.parent;
    parent !== undefined && parent > 0;
    parent = all.get(parent)?.parent
  )
    found.add(parent);
  return found;
}

function processes(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const status = statusOf(name);
      // A zombie has exited.
      if (status === undefined || /^State:\s+[ZX]/m.test(status)) return [];
      const numberOf = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1]);
      return [
        {
          pid: Number(name),
          parent: numberOf("PPid"),
          uid: numberOf("Uid"),
          hasNoNewPrivileges: numberOf("NoNewPrivs") === 1,
        },
      ];
    });
}

function statusOf(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    // It exited after `readdir`.
    return undefined;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has exited already.
  }
}
