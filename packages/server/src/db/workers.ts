/** Who works: one row a server process that runs trainings. */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { sql } from "kysely";
import type { Database } from "./database.ts";
import { persistently } from "./persist.ts";

export type Worker = { readonly id: string; readonly devices: readonly string[] };

/** Where our process ids mean something: this machine since it was started, and on it our own space of process ids. */
function machineName(): string {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return `${hostname()} ${boot} ${readlinkSync("/proc/self/ns/pid")}`;
}

export async function registerWorker(db: Database, worker: Worker): Promise<void> {
  const row = { id: worker.id, host: machineName(), pid: process.pid, devices: [...worker.devices] };
  await persistently(() =>
    db
      .insertInto("workers")
      .values(row)
      .onConflict((conflict) => conflict.column("id").doNothing())
      .execute(),
  );
}

/** Says that the worker is alive. */
export async function touchWorker(db: Database, id: string): Promise<void> {
  await db.updateTable("workers").set({ heartbeat_at: sql<Date>`now()` }).where("id", "=", id).execute();
}

export async function retireWorker(db: Database, id: string): Promise<void> {
  await persistently(() =>
    db.updateTable("workers").set({ stopped_at: sql<Date>`now()` }).where("id", "=", id).execute(),
  );
}

/** Workers of this machine that did not say goodbye, and whose process is gone. */
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
