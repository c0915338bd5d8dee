/**
 * State changes by clients and workers. Each is one statement that names the state it leaves. `leases.ts` claims requests,
 * and takes them back from dead workers.
 *
 * An update that matches no row lost the race. Callers treat it as a no-op. A worker's statements also name its lease, so
 * that a worker whose lease has expired changes nothing.
 *
 *   queued  -> cancelled    cancelQueued, cancelAllQueued
 *   running -> running      requestCancel (sets a mark; the worker acts on it), noteTrained, forgiveLosses
 *   running -> queued       release, setBack, loseLease; cancelled when it is marked
 *   running -> queued       retrain            the trained files are gone
 *   running -> succeeded    succeed
 *   running -> failed       fail, loseLease
 *   running -> cancelled    confirmCancel
 */

import { type SqlBool, sql } from "kysely";
import { cancelledFailure, lostFailure, type WireFailure } from "../../wire/request-failures.ts";
import type { Database } from "../database.ts";
import { insertFiles, type NewFile } from "../files/files.ts";
import { persistently } from "../persist.ts";
import {
  endOfLease,
  held,
  inSeconds,
  type Lease,
  lossesAllowed,
  move,
  moveSurely,
  now,
  type RequestUpdate,
  untrained,
} from "./move.ts";
import { answerColumns } from "./requests.ts";

/** The state of a request after its worker released it. */
export type LetGo = "queued" | "cancelled" | "late";

const cancelledAnswer = { state: "cancelled", finished_at: now, ...answerColumns(cancelledFailure) } as const;

/** Cancels a queued request. @returns false when it was not queued */
export async function cancelQueued(db: Database, id: string, userId: string): Promise<boolean> {
  const condition = sql<SqlBool>`id = ${id} and user_id = ${userId}`;
  const update: RequestUpdate = { cancel_requested_at: now, ...cancelledAnswer };
  return (await moveSurely(db, "queued", update, condition)).length > 0;
}

/** Cancels all queued requests of an endpoint, of all users. Returns their number. */
export async function cancelAllQueued(db: Database, endpoint: string): Promise<number> {
  const update: RequestUpdate = { cancel_requested_at: now, ...cancelledAnswer };
  return (await moveSurely(db, "queued", update, sql<SqlBool>`endpoint = ${endpoint}`)).length;
}

/** Marks a running request for cancellation. @returns false when it was not running */
export async function requestCancel(db: Database, id: string, userId: string): Promise<boolean> {
  const condition = sql<SqlBool>`id = ${id} and user_id = ${userId}`;
  const update: RequestUpdate = { cancel_requested_at: sql<Date>`coalesce(cancel_requested_at, now())` };
  return (await moveSurely(db, "running", update, condition)).length > 0;
}

/** Records that the LoRA is written. From here the request succeeds, or waits to be published on this machine. */
export async function noteTrained(
  db: Database,
  lease: Lease,
  trained: { readonly outputs: string; readonly home: string },
): Promise<boolean> {
  const update: RequestUpdate = {
    trained_outputs: trained.outputs,
    trained_home: trained.home,
    trained_at: now,
  };
  return (await moveSurely(db, "running", update, held(lease))).length > 0;
}

/** Requeues a request whose trained files are gone. It is trained again. */
export async function retrain(db: Database, lease: Lease): Promise<LetGo> {
  return requeue(db, lease, { ...untrained });
}

export type Success = {
  /** JSON. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Rows of the files that the body names. */
  readonly files: readonly NewFile[];
};

/**
 * Ends a request with success: files and response appear in one transaction.
 *
 * @returns whether this output is the request's response, also when an earlier call wrote it and its result was lost
 */
export async function succeed(db: Database, lease: Lease, output: Success): Promise<boolean> {
  const update: RequestUpdate = {
    state: "succeeded",
    finished_at: now,
    response_status: 200,
    response_headers: JSON.stringify(output.headers),
    response_body: output.body,
    ...endOfLease,
    ...untrained,
  };
  return persistently(async () => {
    const isOurs = await db.transaction().execute(async (transaction) => {
      const isMoved = (await move(transaction, "running", update, held(lease))).length > 0;
      if (isMoved) await insertFiles(transaction, output.files);
      return isMoved;
    });
    return isOurs || (await isAnswer(db, lease, output));
  });
}

/** URLs in a body are random, so an equal body is the same one. */
async function isAnswer(db: Database, { requestId }: Lease, { body }: Success): Promise<boolean> {
  const query = db
    .selectFrom("requests")
    .select("id")
    .where("id", "=", requestId)
    .where("state", "=", "succeeded")
    .where("response_body", "=", body);
  return (await query.executeTakeFirst()) !== undefined;
}

/** Ends a request with a failure. */
export async function fail(db: Database, lease: Lease, failure: WireFailure): Promise<boolean> {
  const update: RequestUpdate = {
    state: "failed",
    finished_at: now,
    ...answerColumns(failure),
    ...endOfLease,
  };
  return (await moveSurely(db, "running", update, held(lease))).length > 0;
}

/** Ends a request that was marked for cancellation. */
export async function confirmCancel(db: Database, lease: Lease): Promise<boolean> {
  const condition = sql<SqlBool>`${held(lease)} and cancel_requested_at is not null`;
  return (await moveSurely(db, "running", { ...cancelledAnswer, ...endOfLease }, condition)).length > 0;
}

/** Requeues a request at its place because the server is stopping. Its checkpoints stay. */
export async function release(db: Database, lease: Lease): Promise<LetGo> {
  return requeue(db, lease, {});
}

/**
 * Requeues a request at its place after a failure on the server's side. It is not claimed before a pause is over.
 *
 * @param counts whether the failure counts towards the limit per request
 */
export async function setBack(
  db: Database,
  lease: Lease,
  { pauseSeconds, counts }: { readonly pauseSeconds: number; readonly counts: boolean },
): Promise<LetGo> {
  return requeue(db, lease, {
    not_before: inSeconds(pauseSeconds),
    ...(counts ? { setbacks: sql<number>`setbacks + 1` } : {}),
  });
}

/** Resets the counts of failures: a checkpoint was written. */
export async function forgiveLosses(db: Database, lease: Lease): Promise<void> {
  const condition = sql<SqlBool>`${held(lease)} and (losses > 0 or setbacks > 0)`;
  await moveSurely(db, "running", { losses: 0, setbacks: 0 }, condition);
}

/** Requeues a request whose trainer died. It resumes from the last checkpoint. The second time in a row it fails. */
export async function loseLease(db: Database, lease: Lease): Promise<LetGo | "failed"> {
  const mayGoOn = sql<SqlBool>`losses < ${lossesAllowed}`;
  const became = await requeue(db, lease, { losses: sql<number>`losses + 1` }, mayGoOn);
  if (became !== "late") return became;
  return (await fail(db, lease, lostFailure)) ? "failed" : "late";
}

/** Requeues a request, or cancels it when it is marked. */
async function requeue(
  db: Database,
  lease: Lease,
  update: RequestUpdate,
  condition: ReturnType<typeof sql<SqlBool>> = sql<SqlBool>`true`,
): Promise<LetGo> {
  const mayReturn = sql<SqlBool>`${held(lease)} and cancel_requested_at is null and ${condition}`;
  const returned = await moveSurely(db, "running", { state: "queued", ...endOfLease, ...update }, mayReturn);
  if (returned.length > 0) return "queued";
  return (await confirmCancel(db, lease)) ? "cancelled" : "late";
}
