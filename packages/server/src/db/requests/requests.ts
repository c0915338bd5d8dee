/** Inserts and reads requests. `transitions.ts` changes them. */

import { sql } from "kysely";
import type { QueuePriority, RequestState } from "../../wire/queue.ts";
import type { WireFailure } from "../../wire/request-failures.ts";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";

export type NewRequest = {
  /** UUID version 7, made by the caller, so that the insert is idempotent. */
  readonly id: string;
  /** `fal-ai/ltx-video-trainer`. */
  readonly endpoint: string;
  /** Path after the endpoint, without a leading slash. Usually empty. */
  readonly path: string;
  readonly userId: string;
  readonly keyId: string | null;
  readonly publicUrl: string;
  /** The body as JSON. */
  readonly input: string;
  readonly priority: QueuePriority;
  readonly webhookUrl: string | null;
  /** Seconds within which it must start. */
  readonly startTimeoutSeconds: number | null;
  /** Lifecycle of the outputs, as JSON. */
  readonly lifecycle: string | null;
  readonly storesIo: boolean;
  /** Set for invalid input: the request is inserted as failed. */
  readonly refusal: WireFailure | undefined;
};

/** Higher runs first. */
const priorityRanks: Readonly<Record<QueuePriority, number>> = { low: -1, normal: 0 };

/** What a status response is made of. */
export type RequestSummary = {
  readonly id: string;
  readonly endpoint: string;
  readonly userId: string;
  readonly publicUrl: string;
  readonly state: RequestState;
  /** Whether a worker ever claimed it. Only then it has a log. */
  readonly hasStarted: boolean;
  /** Requests ahead of it. 0 unless queued. */
  readonly queuePosition: number;
  readonly runSeconds: number;
  readonly error: string | null;
  readonly errorType: string | null;
};

/** The response of a finished request. */
export type RequestAnswer = {
  readonly state: RequestState;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. */
  readonly body: string;
  /** Whether the body was deleted on request. */
  readonly isDeleted: boolean;
};

/** Returns the columns of a failed response. */
export function answerColumns({ status, headers, body, errorType }: WireFailure) {
  return {
    response_status: status,
    response_headers: JSON.stringify(headers),
    response_body: JSON.stringify(body),
    error: errorType === undefined ? `Unexpected status code: ${status}` : String(body.detail),
    error_type: errorType ?? null,
  };
}

/** Inserts a request as queued, or as failed when it was refused. */
export async function insertRequest(db: Database, request: NewRequest): Promise<void> {
  await persistently(() => requestInsert(db, request).execute());
}

/** Builds the idempotent statement of `insertRequest`. */
export function requestInsert(db: Database, request: NewRequest) {
  const { refusal, startTimeoutSeconds: timeout } = request;
  const insert = db.insertInto("requests").values({
    id: request.id,
    endpoint: request.endpoint,
    path: request.path,
    user_id: request.userId,
    key_id: request.keyId,
    public_url: request.publicUrl,
    input: request.input,
    priority: priorityRanks[request.priority],
    webhook_url: request.webhookUrl,
    lifecycle: request.lifecycle,
    stores_io: request.storesIo,
    start_deadline: timeout === null ? null : sql<Date>`now() + make_interval(secs => ${timeout})`,
    state: refusal === undefined ? "queued" : "failed",
    ...(refusal === undefined ? {} : { ...answerColumns(refusal), finished_at: sql<Date>`now()` }),
  });
  return insert.onConflict((conflict) => conflict.column("id").doNothing());
}

/** Returns the request, or undefined. The caller checks who may see it. */
export async function findSummary(db: Database, id: string): Promise<RequestSummary | undefined> {
  const query = summaries(db).where("requests.id", "=", id);
  return persistently(() => query.executeTakeFirst());
}

/** Returns several requests in no order. Missing ones are left out. */
export async function findSummaries(db: Database, ids: readonly string[]): Promise<RequestSummary[]> {
  if (ids.length === 0) return [];
  const query = summaries(db).where("requests.id", "in", ids);
  return persistently(() => query.execute());
}

/**
 * Seconds of work in the current lease. 0 without one. Waiting for publication does not count, and the database's clock may
 * go back.
 */
export const secondsOfWork = sql<number>`greatest(0,
  coalesce(extract(epoch from coalesce(trained_at, now()) - claimed_at), 0))::float8`;

function summaries(db: Database) {
  return db
    .selectFrom("requests")
    .select([
      "id",
      "endpoint",
      "user_id as userId",
      "public_url as publicUrl",
      "state",
      "error",
      "error_type as errorType",
      sql<boolean>`started_at is not null`.as("hasStarted"),
      sql<number>`run_seconds + ${secondsOfWork}`.as("runSeconds"),
      positionInQueue.as("queuePosition"),
    ]);
}

const positionInQueue = sql<number>`case when requests.state = 'queued' then (
  select count(*) from requests as ahead
  where ahead.state = 'queued' and (
    ahead.priority > requests.priority
    or (ahead.priority = requests.priority and ahead.sequence < requests.sequence))
) else 0 end`;

/** Counts the queued requests of an endpoint. */
export async function countQueued(db: Database, endpoint: string): Promise<number> {
  const query = db
    .selectFrom("requests")
    .select(sql<number>`count(*)`.as("count"))
    .where("state", "=", "queued")
    .where("endpoint", "=", endpoint);
  return (await persistently(() => query.executeTakeFirstOrThrow())).count;
}

/** Counts the queued requests of a user. */
export async function countWaitingOf(db: Database, userId: string): Promise<number> {
  const query = db
    .selectFrom("requests")
    .select(sql<number>`count(*)`.as("count"))
    .where("state", "=", "queued")
    .where("user_id", "=", userId);
  return (await persistently(() => query.executeTakeFirstOrThrow())).count;
}

/** Returns the response of a request, or only its `state` before the end. Undefined when the user has no such request. */
export async function findAnswer(
  db: Database,
  id: string,
  userId: string,
): Promise<RequestAnswer | { readonly state: "queued" | "running" } | undefined> {
  const query = db
    .selectFrom("requests")
    .select(["state", "response_status", "response_headers", "response_body", "payload_removed_at"])
    .where("id", "=", id)
    .where("user_id", "=", userId);
  const row = await persistently(() => query.executeTakeFirst());
  if (row === undefined) return undefined;
  if (row.state === "queued" || row.state === "running") return { state: row.state };
  return {
    state: row.state,
    status: row.response_status ?? 500,
    headers: JSON.parse(row.response_headers ?? "{}"),
    body: row.response_body ?? "null",
    isDeleted: row.payload_removed_at !== null,
  };
}
