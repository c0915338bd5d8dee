/** History of requests: listing them, and deleting their payloads. */

import { sql } from "kysely";
import type { QueuePriority, RequestState } from "../../wire/queue.ts";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";

export const outcomes = ["success", "error", "user_error"] as const;
/** `user_error`: invalid input, or cancelled by the client. */
export type Outcome = (typeof outcomes)[number];

export type HistoryFilter = {
  readonly userId: string;
  readonly endpoint: string;
  /** Submitted at this time or later. */
  readonly start: Date;
  /** Submitted before this time. */
  readonly end: Date;
  readonly outcome: Outcome | undefined;
  readonly requestId: string | undefined;
  /** Cursor: `sequence` of the last request on the previous page. Older ones follow. */
  readonly before: number | undefined;
  readonly limit: number;
};

export type HistoryItem = {
  readonly sequence: number;
  readonly id: string;
  readonly endpoint: string;
  readonly sentAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  readonly status: number | null;
  readonly runSeconds: number;
  /** Size of input and output together. */
  readonly payloadBytes: number;
};

/** The payload of a request, as JSON. */
export type Payload = {
  /** Null when it was not kept, or was deleted. */
  readonly input: string | null;
  /** Null before the end, too. */
  readonly output: string | null;
};

const codes: Readonly<Record<Outcome, readonly [number, number]>> = {
  success: [200, 399],
  user_error: [400, 499],
  error: [500, 599],
};

/** Returns the requests that match the filter, newest first. */
export async function findHistory(db: Database, filter: HistoryFilter): Promise<HistoryItem[]> {
  const { outcome, requestId, before } = filter;
  let query = db
    .selectFrom("requests")
    .select([
      "sequence",
      "id",
      "endpoint",
      "created_at as sentAt",
      "started_at as startedAt",
      "finished_at as endedAt",
      "response_status as status",
      "run_seconds as runSeconds",
      "payload_bytes as payloadBytes",
    ])
    .where("user_id", "=", filter.userId)
    .where("endpoint", "=", filter.endpoint)
    .where("created_at", ">=", filter.start)
    .where("created_at", "<", filter.end)
    .orderBy("sequence", "desc")
    .limit(filter.limit);
  if (requestId !== undefined) query = query.where("id", "=", requestId);
  if (before !== undefined) query = query.where("sequence", "<", before);
  if (outcome !== undefined) {
    const [least, most] = codes[outcome];
    query = query.where("response_status", ">=", least).where("response_status", "<=", most);
  }
  const found = query;
  return persistently(() => found.execute());
}

/** Returns the payload of one request. Read separately, because it can be large. */
export async function findPayload(db: Database, id: string): Promise<Payload> {
  const isKept = sql`stores_io and payload_removed_at is null`;
  const query = db
    .selectFrom("requests")
    .select([
      sql<string | null>`case when ${isKept} then input end`.as("input"),
      sql<string | null>`case when ${isKept} then response_body end`.as("output"),
    ])
    .where("id", "=", id);
  return (await persistently(() => query.executeTakeFirst())) ?? { input: null, output: null };
}

/** A file whose row was deleted. Its bytes are still in the store and unreachable. */
export type OrphanedFile = { readonly id: string; readonly store: string; readonly name: string };

export type DeletedPayloads = { readonly publicUrl: string; readonly files: readonly OrphanedFile[] };

/**
 * Deletes the input, logs and result of a request, and the rows of its output files and of files that its input held as
 * data URIs. Files that its input refers to stay: other requests may use them. A pending webhook keeps a copy of the
 * result until it is delivered or abandoned.
 *
 * @returns undefined when the user has no such finished request
 */
export async function deletePayloads(
  db: Database,
  id: string,
  userId: string,
): Promise<DeletedPayloads | undefined> {
  return persistently(() =>
    db.transaction().execute(async (transaction) => {
      await keepForReceiver(transaction, id, userId);
      const request = await transaction
        .updateTable("requests")
        .set({
          input: "null",
          response_body: "null",
          payload_removed_at: sql<Date>`coalesce(payload_removed_at, now())`,
        })
        .where("id", "=", id)
        .where("user_id", "=", userId)
        .where("finished_at", "is not", null)
        .returning("public_url as publicUrl")
        .executeTakeFirst();
      if (request === undefined) return undefined;
      // Log lines quote captions and prompts.
      await transaction.deleteFrom("request_logs").where("request_id", "=", id).execute();
      await transaction.deleteFrom("request_metrics").where("request_id", "=", id).execute();
      const files = await transaction
        .deleteFrom("files")
        .where(({ or, and, eb }) =>
          or([and([eb("request_id", "=", id), eb("origin", "=", "output")]), eb("input_of", "=", id)]),
        )
        .returning(["id", "store", "name"])
        .execute();
      return { ...request, files };
    }),
  );
}

async function keepForReceiver(db: Database, id: string, userId: string): Promise<void> {
  await sql`
    update webhook_deliveries set payload = requests.response_body from requests
    where requests.id = ${id} and requests.user_id = ${userId} and request_id = requests.id
      and requests.payload_removed_at is null and webhook_deliveries.state = 'pending'`.execute(db);
}

/** Counts the queued requests of an endpoint by user, largest first. */
export async function countQueuedByUser(
  db: Database,
  endpoint: string,
): Promise<{ readonly userId: string; readonly count: number }[]> {
  const query = db
    .selectFrom("requests")
    .select(["user_id as userId", sql<number>`count(*)`.as("count")])
    .where("state", "=", "queued")
    .where("endpoint", "=", endpoint)
    .groupBy("user_id")
    .orderBy("count", "desc")
    .orderBy("user_id");
  return persistently(() => query.execute());
}

/** A queued or running request. */
export type UnfinishedRequest = {
  readonly sequence: number;
  readonly id: string;
  readonly userId: string;
  readonly endpoint: string;
  readonly state: RequestState;
  readonly priority: QueuePriority;
  readonly sentAt: Date;
  readonly startedAt: Date | null;
};

export type UnfinishedFilter = {
  readonly userId: string | undefined;
  readonly state: "queued" | "running" | undefined;
  /** Cursor: `sequence` of the last request on the previous page. Newer ones follow. */
  readonly after: number;
  readonly limit: number;
};

/** Returns the unfinished requests of all users, in the order of arrival. */
export async function findUnfinished(db: Database, filter: UnfinishedFilter): Promise<UnfinishedRequest[]> {
  const { userId, state, after, limit } = filter;
  let query = db
    .selectFrom("requests")
    .select([
      "sequence",
      "id",
      "user_id as userId",
      "endpoint",
      "state",
      sql<QueuePriority>`case when priority < 0 then 'low' else 'normal' end`.as("priority"),
      "created_at as sentAt",
      "started_at as startedAt",
    ])
    .where("state", "in", state === undefined ? ["queued", "running"] : [state])
    .where("sequence", ">", after)
    .orderBy("sequence")
    .limit(limit);
  if (userId !== undefined) query = query.where("user_id", "=", userId);
  const found = query;
  return persistently(() => found.execute());
}
