/**
 * Claims requests, renews their leases, and takes back the requests of dead workers.
 *
 *   queued  -> running      claim, claimTrained
 *   queued  -> queued       forgetTrained      the machine with the trained files was not seen for too long
 *   queued  -> failed       resolveExpired     its start timeout expired
 *   running -> running      renewLeases, expireLeasesOf
 *   running -> queued       resolveExpired     lost once since the last checkpoint, or trained
 *   running -> failed       resolveExpired     lost twice
 *   running -> cancelled    resolveExpired     cancellation was requested
 */

import { type SqlBool, sql } from "kysely";
import { cancelledFailure, lostFailure, startTimeoutFailure } from "../../wire/request-failures.ts";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";
import {
  endOfLease,
  inSeconds,
  type Lease,
  lossesAllowed,
  moveSurely,
  now,
  type RequestUpdate,
} from "./move.ts";
import { answerColumns } from "./requests.ts";

export type ClaimedRequest = Lease & {
  readonly endpoint: string;
  readonly userId: string;
  readonly publicUrl: string;
  /** JSON. */
  readonly input: string;
  readonly lifecycle: string | null;
  /** From 1. */
  readonly attempts: number;
  /** Failures of the server's side since the last checkpoint. */
  readonly setbacks: number;
  /** JSON of the command's outputs, when only publishing is left. */
  readonly trainedOutputs: string | null;
};

export type Claimer = {
  readonly workerId: string;
  /** Made by the caller, so that a retry after a lost answer finds its claim. */
  readonly leaseId: string;
  readonly leaseSeconds: number;
  /** Names of the endpoints that this worker serves. */
  readonly endpoints: readonly string[];
  /** Requests of a user with so many running ones wait. Concurrent claims may exceed it by one. */
  readonly runningPerUser?: number | undefined;
};

const columns = [
  "id as requestId",
  "endpoint",
  "user_id as userId",
  "public_url as publicUrl",
  "input",
  "lifecycle",
  "attempts",
  "setbacks",
  "trained_outputs as trainedOutputs",
] as const;

const expired = sql<SqlBool>`lease_expires_at < now()`;
const isDue = sql<SqlBool>`(not_before is null or not_before <= now())`;

/** Claims the first request of the queue whose command is to run; undefined when there is none. */
export function claim(db: Database, claimer: Claimer): Promise<ClaimedRequest | undefined> {
  const most = claimer.runningPerUser ?? null;
  const condition = sql<SqlBool>`trained_home is null and ${isDue}
    and (${most}::int is null or ${most}::int > (
      select count(*) from requests as others where others.state = 'running' and others.user_id = requests.user_id))
    and (start_deadline is null or started_at is not null or start_deadline > now())`;
  const update = { started_at: sql<Date>`coalesce(started_at, now())`, attempts: sql<number>`attempts + 1` };
  return take(db, claimer, condition, update);
}

/** Claims the first request whose files are in this data folder and still to be published; undefined when there is none. */
export function claimTrained(
  db: Database,
  claimer: Claimer,
  home: string,
): Promise<ClaimedRequest | undefined> {
  return take(db, claimer, sql<SqlBool>`trained_home = ${home} and ${isDue}`, {});
}

async function take(
  db: Database,
  { workerId, leaseId, leaseSeconds, endpoints }: Claimer,
  condition: ReturnType<typeof sql<SqlBool>>,
  update: RequestUpdate,
): Promise<ClaimedRequest | undefined> {
  let isRepeated = false;
  const row = await persistently(async () => {
    if (isRepeated) {
      const mine = db.selectFrom("requests").select(columns).where("lease_id", "=", leaseId);
      const found = await mine.executeTakeFirst();
      if (found !== undefined) return found;
    }
    isRepeated = true;
    return db
      .updateTable("requests")
      .set({
        state: "running",
        worker_id: workerId,
        lease_id: leaseId,
        lease_expires_at: inSeconds(leaseSeconds),
        claimed_at: now,
        not_before: null,
        ...update,
      })
      .where("state", "=", "queued")
      .where("id", "=", (query) =>
        query
          .selectFrom("requests")
          .select("id")
          .where("state", "=", "queued")
          .where("endpoint", "in", endpoints)
          .where(condition)
          .orderBy("priority", "desc")
          .orderBy("sequence")
          .limit(1)
          .forUpdate()
          .skipLocked(),
      )
      .returning(columns)
      .executeTakeFirst();
  });
  return row === undefined ? undefined : { ...row, leaseId };
}

/** Renews the leases of a worker. Returns those it still holds, and whether they are to be cancelled. */
export async function renewLeases(
  db: Database,
  leaseIds: readonly string[],
  leaseSeconds: number,
): Promise<Map<string, { readonly isCancelRequested: boolean }>> {
  if (leaseIds.length === 0) return new Map();
  const rows = await db
    .updateTable("requests")
    .set({ lease_expires_at: inSeconds(leaseSeconds) })
    .where("state", "=", "running")
    .where("lease_id", "in", leaseIds)
    .returning(["lease_id", "cancel_requested_at"])
    .execute();
  return new Map(
    rows.map((row) => [row.lease_id ?? "", { isCancelRequested: row.cancel_requested_at !== null }]),
  );
}

/** Ids of requests whose lease or deadline expired, by what became of them. */
export type Expiries = {
  readonly requeued: readonly string[];
  readonly failed: readonly string[];
  readonly cancelled: readonly string[];
  readonly timedOut: readonly string[];
};

/** Ends or requeues requests with an expired lease, and ends those that did not start in time. */
export async function resolveExpired(db: Database): Promise<Expiries> {
  const isMarked = sql<SqlBool>`cancel_requested_at is not null`;
  const mayGoOn = sql<SqlBool>`(losses < ${lossesAllowed} or trained_home is not null)`;
  const end = { finished_at: now, ...endOfLease };
  const cancelled = await moveSurely(
    db,
    "running",
    { state: "cancelled", ...answerColumns(cancelledFailure), ...end },
    sql<SqlBool>`${expired} and ${isMarked}`,
  );
  const requeued = await moveSurely(
    db,
    "running",
    { state: "queued", losses: sql<number>`losses + 1`, ...endOfLease },
    sql<SqlBool>`${expired} and not ${isMarked} and ${mayGoOn}`,
  );
  const failed = await moveSurely(
    db,
    "running",
    { state: "failed", ...answerColumns(lostFailure), ...end },
    sql<SqlBool>`${expired} and not ${isMarked} and not ${mayGoOn}`,
  );
  const timedOut = await moveSurely(
    db,
    "queued",
    { state: "failed", finished_at: now, ...answerColumns(startTimeoutFailure) },
    sql<SqlBool>`started_at is null and start_deadline <= now()`,
  );
  return { requeued, failed, cancelled, timedOut };
}

/**
 * Expires the leases of dead workers at once, so that their requests need not wait for the lease to expire.
 *
 * @param workerIds dead workers of this machine
 */
export async function expireLeasesOf(db: Database, workerIds: readonly string[]): Promise<void> {
  if (workerIds.length === 0) return;
  await moveSurely(
    db,
    "running",
    { lease_expires_at: sql<Date>`now() - interval '1 microsecond'` },
    sql<SqlBool>`worker_id = any(${workerIds}::uuid[]) and lease_expires_at > now()`,
  );
}

/**
 * Discards the recorded outputs of requests whose data folder no server has used for `hours`, so that any worker can run them
 * again. The request's log says so.
 *
 * @returns their ids
 */
export async function forgetTrained(db: Database, hours: number): Promise<string[]> {
  const statement = sql<{ id: string }>`
    with forgotten as (
      update requests set trained_outputs = null, trained_at = null, trained_home = null
      where state = 'queued' and trained_at < now() - make_interval(secs => ${hours * 3600}::float8)
        and not exists (
          select from workers where workers.home = requests.trained_home
            and heartbeat_at > now() - make_interval(secs => ${hours * 3600}::float8))
      returning id
    ), told as (
      insert into request_logs (request_id, at, level, message)
      select id, now(), 'WARN',
        ${`The machine that holds the trained files has not been seen for ${hours} hours. Training again.`}
      from forgotten
    )
    select id from forgotten`;
  const { rows } = await persistently(() => statement.execute(db));
  return rows.map(({ id }) => id);
}
