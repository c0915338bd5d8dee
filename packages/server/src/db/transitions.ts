/**
 * Everything that can happen to a request, one statement each, naming the state it leaves.
 *
 * A statement that changes no row came too late: somebody else was first, and that is no error. A worker's statements also
 * name its lease, so that one whose lease has run out, and who does not know it yet, changes nothing.
 *
 *   queued  -> running      claim
 *   queued  -> failed       expireStarts       its start came too late
 *   queued  -> cancelled    cancelQueued, cancelAllQueued
 *   running -> running      renewLeases, requestCancel (a mark; the worker acts on it)
 *   running -> queued       release            the server is going away in good order
 *   running -> queued       loseLease, requeueExpired
 *   running -> succeeded    succeed
 *   running -> failed       fail, failExpired
 *   running -> cancelled    confirmCancel, cancelExpired
 */
import { cancelledFailure, lostFailure, startTimeoutFailure, type WireFailure } from "@ltx-trainer/contract";
import { type Expression, type SqlBool, sql, type UpdateObject } from "kysely";
import type { Database } from "./database.ts";
import { insertFiles, type NewFile } from "./files.ts";
import { persistently } from "./persist.ts";
import { answerColumns } from "./requests.ts";
import type { Tables } from "./schema.ts";

/** The right to work on a request, for a while. */
export type Lease = { readonly requestId: string; readonly leaseId: string };

export type ClaimedRequest = Lease & {
  readonly endpoint: string;
  readonly userId: string;
  readonly publicUrl: string;
  /** JSON. */
  readonly input: string;
  readonly lifecycle: string | null;
  /** From 1. */
  readonly attempts: number;
};

/** How often a lease may be lost without a checkpoint in between. */
const lossesAllowed = 1;

type Update = UpdateObject<Tables, "requests", "requests">;

const now = sql<Date>`now()`;

const noLease = { worker_id: null, lease_id: null, lease_expires_at: null, claimed_at: null } as const;

/** Adds up the seconds of work when a lease ends. */
const worked = { run_seconds: sql<number>`run_seconds + extract(epoch from now() - claimed_at)` } as const;

function leaseEnd(seconds: number) {
  return sql<Date>`now() + make_interval(secs => ${seconds})`;
}

/** One statement over the rows that are in `from` and meet `condition`; returns the ids it changed. */
async function move(
  db: Database,
  from: "queued" | "running",
  update: Update,
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

/** The same, waiting out a database that is away. */
function moveSurely(...args: Parameters<typeof move>): Promise<string[]> {
  return persistently(() => move(...args));
}

const held = ({ requestId, leaseId }: Lease) => sql<SqlBool>`id = ${requestId} and lease_id = ${leaseId}`;
const expired = sql<SqlBool>`lease_expires_at < now()`;

/**
 * Takes the first request of the queue, or undefined when it is empty.
 *
 * @param leaseId made by the caller, so that a claim whose answer was lost is found again
 */
export async function claim(
  db: Database,
  worker: { readonly workerId: string; readonly leaseId: string; readonly leaseSeconds: number },
): Promise<ClaimedRequest | undefined> {
  const { workerId, leaseId, leaseSeconds } = worker;
  const columns = [
    "id as requestId",
    "endpoint",
    "user_id as userId",
    "public_url as publicUrl",
    "input",
    "lifecycle",
    "attempts",
  ] as const;
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
        lease_expires_at: leaseEnd(leaseSeconds),
        claimed_at: now,
        started_at: sql<Date>`coalesce(started_at, now())`,
        attempts: sql<number>`attempts + 1`,
      })
      .where("state", "=", "queued")
      .where("id", "=", (query) =>
        query
          .selectFrom("requests")
          .select("id")
          .where("state", "=", "queued")
          .where(sql<SqlBool>`(start_deadline is null or started_at is not null or start_deadline > now())`)
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

/** Prolongs the leases of a worker; returns those it still holds, and whether they are to be cancelled. */
export async function renewLeases(
  db: Database,
  leases: readonly Lease[],
  leaseSeconds: number,
): Promise<Map<string, { readonly isCancelRequested: boolean }>> {
  if (leases.length === 0) return new Map();
  const rows = await db
    .updateTable("requests")
    .set({ lease_expires_at: leaseEnd(leaseSeconds) })
    .where("state", "=", "running")
    .where(
      "lease_id",
      "in",
      leases.map(({ leaseId }) => leaseId),
    )
    .returning(["lease_id", "cancel_requested_at"])
    .execute();
  return new Map(
    rows.map((row) => [row.lease_id ?? "", { isCancelRequested: row.cancel_requested_at !== null }]),
  );
}

/** Whether the request waited and is now cancelled. */
export async function cancelQueued(db: Database, id: string, userId: string): Promise<boolean> {
  const condition = sql<SqlBool>`id = ${id} and user_id = ${userId}`;
  const update: Update = {
    state: "cancelled",
    cancel_requested_at: now,
    finished_at: now,
    ...answerColumns(cancelledFailure),
  };
  return (await moveSurely(db, "queued", update, condition)).length > 0;
}

/** Cancels everything that waits for an endpoint, whoever submitted it; returns how many those were. */
export async function cancelAllQueued(db: Database, endpoint: string): Promise<number> {
  const update: Update = {
    state: "cancelled",
    cancel_requested_at: now,
    finished_at: now,
    ...answerColumns(cancelledFailure),
  };
  return (await moveSurely(db, "queued", update, sql<SqlBool>`endpoint = ${endpoint}`)).length;
}

/** Whether the request is being worked on and is now marked to be cancelled. */
export async function requestCancel(db: Database, id: string, userId: string): Promise<boolean> {
  const condition = sql<SqlBool>`id = ${id} and user_id = ${userId}`;
  const update: Update = { cancel_requested_at: sql<Date>`coalesce(cancel_requested_at, now())` };
  return (await moveSurely(db, "running", update, condition)).length > 0;
}

export type Success = {
  /** JSON. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Rows of the files that the body names. */
  readonly files: readonly NewFile[];
};

/** The training is over and good: its files and its answer appear together. */
export async function succeed(db: Database, lease: Lease, output: Success): Promise<boolean> {
  const update: Update = {
    state: "succeeded",
    finished_at: now,
    response_status: 200,
    response_headers: JSON.stringify(output.headers),
    response_body: output.body,
    ...worked,
    ...noLease,
  };
  return persistently(() =>
    db.transaction().execute(async (transaction) => {
      const isOurs = (await move(transaction, "running", update, held(lease))).length > 0;
      if (isOurs) await insertFiles(transaction, output.files);
      return isOurs;
    }),
  );
}

/** The training is over and bad. */
export async function fail(db: Database, lease: Lease, failure: WireFailure): Promise<boolean> {
  const update: Update = {
    state: "failed",
    finished_at: now,
    ...answerColumns(failure),
    ...worked,
    ...noLease,
  };
  return (await moveSurely(db, "running", update, held(lease))).length > 0;
}

/** The training was ended because its cancellation was asked for. */
export async function confirmCancel(db: Database, lease: Lease): Promise<boolean> {
  const condition = sql<SqlBool>`${held(lease)} and cancel_requested_at is not null`;
  return (await moveSurely(db, "running", cancelledEnd, condition)).length > 0;
}

const cancelledEnd: Update = {
  state: "cancelled",
  finished_at: now,
  ...answerColumns(cancelledFailure),
  ...worked,
  ...noLease,
};

/** Back to its place in the queue, at no cost: the server is stopping and the training wrote a checkpoint. */
export async function release(db: Database, lease: Lease): Promise<boolean> {
  return (
    (await moveSurely(db, "running", { state: "queued", ...worked, ...noLease }, held(lease))).length > 0
  );
}

/** A checkpoint was written: earlier losses no longer count against the request. */
export async function forgiveLosses(db: Database, lease: Lease): Promise<void> {
  await moveSurely(db, "running", { losses: 0 }, sql<SqlBool>`${held(lease)} and losses > 0`);
}

/** The trainer died. Back to the queue once, to go on from the last checkpoint; the second time it fails. */
export async function loseLease(db: Database, lease: Lease): Promise<"queued" | "failed" | "late"> {
  const again = sql<SqlBool>`${held(lease)} and losses < ${lossesAllowed}`;
  if ((await moveSurely(db, "running", lostUpdate, again)).length > 0) return "queued";
  return (await fail(db, lease, lostFailure)) ? "failed" : "late";
}

const lostUpdate: Update = { state: "queued", losses: sql<number>`losses + 1`, ...worked, ...noLease };

/** What was done about leases and deadlines that ran out. */
export type Expiries = {
  readonly requeued: readonly string[];
  readonly failed: readonly string[];
  readonly cancelled: readonly string[];
  readonly timedOut: readonly string[];
};

/** Ends or returns the requests of workers that are not heard of any more, and those that did not start in time. */
export async function settleExpired(db: Database): Promise<Expiries> {
  const cancelled = await moveSurely(
    db,
    "running",
    cancelledEnd,
    sql<SqlBool>`${expired} and cancel_requested_at is not null`,
  );
  const requeued = await moveSurely(
    db,
    "running",
    lostUpdate,
    sql<SqlBool>`${expired} and cancel_requested_at is null and losses < ${lossesAllowed}`,
  );
  const failed = await moveSurely(
    db,
    "running",
    { state: "failed", finished_at: now, ...answerColumns(lostFailure), ...worked, ...noLease },
    sql<SqlBool>`${expired} and cancel_requested_at is null and losses >= ${lossesAllowed}`,
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
 * Ends the leases of workers whose process is known to be gone, so that their requests need not wait for them to run out.
 *
 * @param workerIds of this machine, and dead
 */
export async function expireLeasesOf(db: Database, workerIds: readonly string[]): Promise<void> {
  if (workerIds.length === 0) return;
  const update: Update = { lease_expires_at: sql<Date>`now() - interval '1 microsecond'` };
  await moveSurely(
    db,
    "running",
    update,
    sql<SqlBool>`worker_id = any(${workerIds}::uuid[]) and lease_expires_at > now()`,
  );
}
