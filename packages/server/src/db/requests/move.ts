/**
 * Changes of a request's state: each is one statement that names the state it leaves and, for a worker, its lease.
 */
import { type Expression, type SqlBool, sql, type UpdateObject } from "kysely";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";
import type { Tables } from "../schema.ts";
import { secondsOfWork } from "./requests.ts";

/** The right to work on a request until it expires. */
export type Lease = { readonly requestId: string; readonly leaseId: string };

export type RequestUpdate = UpdateObject<Tables, "requests", "requests">;

export const now = sql<Date>`now()`;

/** Lost leases that are allowed without a checkpoint in between. */
export const lossesAllowed = 1;

const noLease = { worker_id: null, lease_id: null, lease_expires_at: null, claimed_at: null } as const;

/** Ends a lease and adds its seconds of work. */
export const endOfLease = { run_seconds: sql<number>`run_seconds + ${secondsOfWork}`, ...noLease } as const;

/** The trained files are published, or gone. */
export const untrained = { trained_outputs: null, trained_at: null, trained_home: null } as const;

export const held = ({ requestId, leaseId }: Lease) =>
  sql<SqlBool>`id = ${requestId} and lease_id = ${leaseId}`;

export function inSeconds(seconds: number) {
  return sql<Date>`now() + make_interval(secs => ${seconds}::float8)`;
}

/** Updates the rows that are in `from` and meet `condition`. Returns the ids that changed. */
export async function move(
  db: Database,
  from: "queued" | "running",
  update: RequestUpdate,
  condition: Expression<SqlBool>,
): Promise<string[]> {
  const statement = db
    .updateTable("requests")
    .set(update)
    .where("state", "=", from)
    .where(condition)
    .returning("id");
  const rows = await statement.execute();
  return rows.map(({ id }) => id);
}

/** Like `move`, retried while the database is unreachable. */
export function moveSurely(...args: Parameters<typeof move>): Promise<string[]> {
  return persistently(() => move(...args));
}
