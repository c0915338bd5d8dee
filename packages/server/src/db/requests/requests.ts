/** Requests as clients see them: coming in, and being looked at. What happens to them is in `transitions.ts`. */

import { sql } from "kysely";
import type { QueuePriority, RequestState } from "../../wire/queue.ts";
import type { WireFailure } from "../../wire/request-failures.ts";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";

export type NewRequest = {
  /** UUID version 7, made by the caller: the insert may then run twice. */
  readonly id: string;
  /** `fal-ai/ltx-video-trainer`. */
  readonly endpoint: string;
  /** What came after it, without a slash at its start; usually nothing. */
  readonly path: string;
  readonly userId: string;
  readonly keyId: string | null;
  readonly publicUrl: string;
  /** The body, as JSON. */
  readonly input: string;
  readonly priority: QueuePriority;
  readonly webhookUrl: string | null;
  /** Seconds from now by which it must have started. */
  readonly startTimeoutSeconds: number | null;
  /** JSON of the lifecycle that outputs get. */
  readonly lifecycle: string | null;
  readonly storesIo: boolean;
  /** Set when it cannot be worked on: it is inserted with its end. */
  readonly refusal: WireFailure | undefined;
};

/** The order of the queue: higher is earlier. */
const priorityRanks: Readonly<Record<QueuePriority, number>> = { low: -1, normal: 0 };

/** What a status says. */
export type RequestSummary = {
  readonly id: string;
  readonly endpoint: string;
  readonly userId: string;
  readonly publicUrl: string;
  readonly state: RequestState;
  /** Whether somebody ever worked on it: only then has it a log, also while it waits to be tried again. */
  readonly hasStarted: boolean;
  /** Requests ahead; 0 unless queued. */
  readonly queuePosition: number;
  readonly runSeconds: number;
  readonly error: string | null;
  readonly errorType: string | null;
};

/** The answer of a request that has ended. */
export type RequestAnswer = {
  readonly state: RequestState;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. */
  readonly body: string;
  /** Whether the body was deleted at somebody's wish. */
  readonly isDeleted: boolean;
};

/** Columns that hold an end. */
export function answerColumns({ status, headers, body, errorType }: WireFailure) {
  return {
    response_status: status,
    response_headers: JSON.stringify(headers),
    response_body: JSON.stringify(body),
    error: errorType === undefined ? `Unexpected status code: ${status}` : String(body.detail),
    error_type: errorType ?? null,
  };
}

/** Puts a request into the queue, or, when it is refused, at its end. */
export async function insertRequest(db: Database, request: NewRequest): Promise<void> {
  await persistently(() => requestInsert(db, request).execute());
}

/** The statement that does it; a second time it changes nothing. */
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

/** The request, or undefined when there is none of that id. Whether the caller may see it is for the caller to check. */
export async function findSummary(db: Database, id: string): Promise<RequestSummary | undefined> {
  const query = summaries(db).where("requests.id", "=", id);
  return persistently(() => query.executeTakeFirst());
}

/** Several requests at once, in no order; those that do not exist are left out. */
export async function findSummaries(db: Database, ids: readonly string[]): Promise<RequestSummary[]> {
  if (ids.length === 0) return [];
  const query = summaries(db).where("requests.id", "in", ids);
  return persistently(() => query.execute());
}

/**
 * Seconds that the current lease has worked; 0 without one. Waiting to be published is no work, and the database's clock
 * may be set back.
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

/** How many wait for an endpoint. */
export async function countQueued(db: Database, endpoint: string): Promise<number> {
  const query = db
    .selectFrom("requests")
    .select(sql<number>`count(*)`.as("count"))
    .where("state", "=", "queued")
    .where("endpoint", "=", endpoint);
  return (await persistently(() => query.executeTakeFirstOrThrow())).count;
}

/** How many requests of a user wait. */
export async function countWaitingOf(db: Database, userId: string): Promise<number> {
  const query = db
    .selectFrom("requests")
    .select(sql<number>`count(*)`.as("count"))
    .where("state", "=", "queued")
    .where("user_id", "=", userId);
  return (await persistently(() => query.executeTakeFirstOrThrow())).count;
}

/** The end of a request; `state` alone is given while it has none. Undefined when this user may see no such request. */
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
