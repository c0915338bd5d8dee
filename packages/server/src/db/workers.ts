/** Workers: one row per server process that runs trainings. */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { sql } from "kysely";
import type { Database } from "./database.ts";
import { persistently } from "./persist.ts";

export type Worker = {
  readonly id: string;
  readonly devices: readonly string[];
  /** Id of the data folder; see `homeId`. */
  readonly home?: string;
};

/** Returns the scope of our process ids: this machine since its boot, and its process namespace. */
function machineName(): string {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return `${hostname()} ${boot} ${readlinkSync("/proc/self/ns/pid")}`;
}

export async function registerWorker(db: Database, worker: Worker): Promise<void> {
  const { id, devices, home = null } = worker;
  const row = { id, host: machineName(), pid: process.pid, devices: [...devices], home };
  await persistently(() =>
    db
      .insertInto("workers")
      .values(row)
      .onConflict((conflict) => conflict.column("id").doNothing())
      .execute(),
  );
}

/** Heartbeat of a worker. */
export async function touchWorker(db: Database, id: string): Promise<void> {
  await db.updateTable("workers").set({ heartbeat_at: sql<Date>`now()` }).where("id", "=", id).execute();
}

export async function retireWorker(db: Database, id: string): Promise<void> {
  await persistently(() =>
    db.updateTable("workers").set({ stopped_at: sql<Date>`now()` }).where("id", "=", id).execute(),
  );
}

/**
 * Tells whether an older live server on this machine has the device. Two trainings on one device would run out of memory.
 */
export async function isDeviceTaken(
  db: Database,
  {
    id,
    device,
    leaseSeconds,
  }: { readonly id: string; readonly device: string; readonly leaseSeconds: number },
): Promise<boolean> {
  const overlaps = sql<boolean>`(${device} = any(devices) or 'auto' = any(devices)
    or (${device} = 'auto' and cardinality(devices) > 0))`;
  const query = db
    .selectFrom("workers")
    .select("id")
    .where("host", "=", machineName())
    .where("id", "<", id)
    .where("stopped_at", "is", null)
    .where(sql<boolean>`heartbeat_at > now() - make_interval(secs => ${leaseSeconds}::float8)`)
    .where(overlaps)
    .limit(1);
  return (await persistently(() => query.executeTakeFirst())) !== undefined;
}

/** Returns workers of this machine that did not retire and whose process is gone. */
export async function findDeadWorkers(db: Database): Promise<string[]> {
  const query = db
    .selectFrom("workers")
    .select(["id", "pid"])
    .where("host", "=", machineName())
    .where("stopped_at", "is", null);
  const rows = await persistently(() => query.execute());
  return rows.filter(({ pid }) => pid !== process.pid && !isAlive(pid)).map(({ id }) => id);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
