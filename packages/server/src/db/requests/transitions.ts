/**
 * What clients and workers make of a request, one statement each, naming the state it leaves. How requests are claimed and
 * taken back from workers that are gone is in `leases.ts`.
 *
 * A statement that changes no row came too late: somebody else was first, and that is no error. A worker's statements also
 * name its lease, so that one whose lease has run out, and who does not know it yet, changes nothing.
 *
 *   queued  -> cancelled    cancelQueued, cancelAllQueued
 *   running -> running      requestCancel (a mark; the worker acts on it), noteTrained, forgiveLosses
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

/** Where a request went that its worker let go of. */
export type LetGo = "queued" | "cancelled" | "late";

const cancelledAnswer = { state: "cancelled", finished_at: now, ...answerColumns(cancelledFailure) } as const;

/** Whether the request waited and is now cancelled. */
export async function cancelQueued(db: Database, id: string, userId: string): Promise<boolean> {
  const condition = sql<SqlBool>`id = ${id} and user_id = ${userId}`;
  const update: RequestUpdate = { cancel_requested_at: now, ...cancelledAnswer };
  return (await moveSurely(db, "queued", update, condition)).length > 0;
}

/** Cancels everything that waits for an endpoint, whoever submitted it; returns how many those were. */
export async function cancelAllQueued(db: Database, endpoint: string): Promise<number> {
  const update: RequestUpdate = { cancel_requested_at: now, ...cancelledAnswer };
  return (await moveSurely(db, "queued", update, sql<SqlBool>`endpoint = ${endpoint}`)).length;
}

/** Whether the request is being worked on and is now marked to be cancelled. */
export async function requestCancel(db: Database, id: string, userId: string): Promise<boolean> {
  const condition = sql<SqlBool>`id = ${id} and user_id = ${userId}`;
  const update: RequestUpdate = { cancel_requested_at: sql<Date>`coalesce(cancel_requested_at, now())` };
  return (await moveSurely(db, "running", update, condition)).length > 0;
}

/** The LoRA is written: from here on the request succeeds, or waits to be published on this machine. */
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

/** The trained files cannot be read any more: back to the queue, to be trained again. */
export async function retrain(db: Database, lease: Lease): Promise<LetGo> {
  return letGo(db, lease, { ...untrained });
}

export type Success = {
  /** JSON. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Rows of the files that the body names. */
  readonly files: readonly NewFile[];
};

/**
 * The training is over and good: its files and its answer appear together.
 *
 * @returns whether this output is the request's answer; also when an earlier call wrote it and its answer was lost
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

/** The addresses in a body are random: an equal one is the same. */
async function isAnswer(db: Database, { requestId }: Lease, { body }: Success): Promise<boolean> {
  const query = db
    .selectFrom("requests")
    .select("id")
    .where("id", "=", requestId)
    .where("state", "=", "succeeded")
    .where("response_body", "=", body);
  return (await query.executeTakeFirst()) !== undefined;
}

/** The training is over and bad. */
export async function fail(db: Database, lease: Lease, failure: WireFailure): Promise<boolean> {
  const update: RequestUpdate = {
    state: "failed",
    finished_at: now,
    ...answerColumns(failure),
    ...endOfLease,
  };
  return (await moveSurely(db, "running", update, held(lease))).length > 0;
}

/** The work was ended because the request's cancellation was asked for. */
export async function confirmCancel(db: Database, lease: Lease): Promise<boolean> {
  const condition = sql<SqlBool>`${held(lease)} and cancel_requested_at is not null`;
  return (await moveSurely(db, "running", { ...cancelledAnswer, ...endOfLease }, condition)).length > 0;
}

/** Back to its place in the queue, at no cost: the server is stopping, and what was done is kept. */
export async function release(db: Database, lease: Lease): Promise<LetGo> {
  return letGo(db, lease, {});
}

/**
 * Back to its place in the queue, not to be claimed for a while: the failure was not the request's.
 *
 * @param counts whether it is one of the few that a request may have
 */
export async function setBack(
  db: Database,
  lease: Lease,
  { pauseSeconds, counts }: { readonly pauseSeconds: number; readonly counts: boolean },
): Promise<LetGo> {
  return letGo(db, lease, {
    not_before: inSeconds(pauseSeconds),
    ...(counts ? { setbacks: sql<number>`setbacks + 1` } : {}),
  });
}

/** A checkpoint was written: what went wrong earlier no longer counts against the request. */
export async function forgiveLosses(db: Database, lease: Lease): Promise<void> {
  const condition = sql<SqlBool>`${held(lease)} and (losses > 0 or setbacks > 0)`;
  await moveSurely(db, "running", { losses: 0, setbacks: 0 }, condition);
}

/** The trainer died. Back to the queue once, to go on from the last checkpoint; the second time it fails. */
export async function loseLease(db: Database, lease: Lease): Promise<LetGo | "failed"> {
  const mayGoOn = sql<SqlBool>`losses < ${lossesAllowed}`;
  const became = await letGo(db, lease, { losses: sql<number>`losses + 1` }, mayGoOn);
  if (became !== "late") return became;
  return (await fail(db, lease, lostFailure)) ? "failed" : "late";
}

/** To the queue, or, when its cancellation was asked for meanwhile, to its end. */
async function letGo(
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
