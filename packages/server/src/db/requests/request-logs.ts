/** Log lines of trainings, and one row of metrics per step. */

import { shorten } from "@ltx-trainer/contract";
import { sql } from "kysely";
import type { LogLevel } from "../../wire/queue.ts";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";
import { type KeptLine, type LogLimits, leftOut, leftOutMessage, logLimits } from "./log-limits.ts";
import type { Lease } from "./move.ts";

export type LogEntry = { readonly at: Date; readonly level: LogLevel; readonly message: string };

export type StepMetrics = {
  readonly at: Date;
  /** Steps done, from 1. */
  readonly step: number;
  /** Null when it is not finite. */
  readonly loss: number | null;
  readonly learningRate: number;
  readonly secondsPerStep: number;
  readonly memoryBytes: number;
};

/** Appends lines while the lease holds. The middle of a log that grows too long is cut. */
export async function appendLogs(
  db: Database,
  lease: Lease,
  entries: readonly LogEntry[],
  limits: LogLimits = logLimits,
): Promise<void> {
  if (entries.length === 0) return;
  const statement = sql`
    insert into request_logs (request_id, at, level, message)
    select ${lease.requestId}::uuid, at, level, message
    from unnest(
      ${entries.map(({ at }) => at)}::timestamptz[],
      ${entries.map(({ level }) => level)}::text[],
      ${entries.map(({ message }) => storable(message))}::text[]
    ) with ordinality as entry (at, level, message, place)
    where exists (select from requests where id = ${lease.requestId} and lease_id = ${lease.leaseId})
    order by place`;
  await persistently(() => statement.execute(db));
  await cutMiddle(db, lease.requestId, limits);
}

/** Replaces the middle by its first line, which counts all lines cut so far. */
async function cutMiddle(db: Database, requestId: string, { first, last, slack }: LogLimits): Promise<void> {
  const count = db
    .selectFrom("request_logs")
    .select(sql<number>`count(*)`.as("lines"))
    .where("request_id", "=", requestId);
  const { lines } = await persistently(() => count.executeTakeFirstOrThrow());
  if (lines <= first + last + slack) return;
  const [before, after] = leftOutMessage(0).split("0") as [string, string];
  const statement = sql`
    with places as (
      select sequence, left_out, row_number() over (order by sequence) as place, count(*) over () as lines
      from request_logs where request_id = ${requestId}),
    middle as (select sequence, left_out from places where place > ${first} and place <= lines - ${last}),
    mark as (select min(sequence) as sequence, sum(greatest(left_out, 1)) as total from middle),
    gone as (
      delete from request_logs using middle, mark
      where request_id = ${requestId} and request_logs.sequence = middle.sequence
        and request_logs.sequence <> mark.sequence)
    update request_logs set
      level = 'WARN', left_out = mark.total, message = ${before} || mark.total || ${after}
    from mark where request_id = ${requestId} and request_logs.sequence = mark.sequence`;
  await persistently(() => statement.execute(db));
}

/** Inserts or replaces steps while the lease holds. A resumed training repeats some. */
export async function recordSteps(db: Database, lease: Lease, steps: readonly StepMetrics[]): Promise<void> {
  if (steps.length === 0) return;
  const statement = sql`
    insert into request_metrics (request_id, step, at, loss, learning_rate, seconds_per_step, memory_bytes)
    select ${lease.requestId}::uuid, step, at, loss, learning_rate, seconds_per_step, memory_bytes
    from unnest(
      ${steps.map(({ step }) => step)}::int[],
      ${steps.map(({ at }) => at)}::timestamptz[],
      ${steps.map(({ loss }) => loss)}::float8[],
      ${steps.map(({ learningRate }) => learningRate)}::float8[],
      ${steps.map(({ secondsPerStep }) => secondsPerStep)}::float8[],
      ${steps.map(({ memoryBytes }) => Math.round(memoryBytes))}::bigint[]
    ) as s (step, at, loss, learning_rate, seconds_per_step, memory_bytes)
    where exists (select from requests where id = ${lease.requestId} and lease_id = ${lease.leaseId})
    on conflict (request_id, step) do update set
      at = excluded.at, loss = excluded.loss, learning_rate = excluded.learning_rate,
      seconds_per_step = excluded.seconds_per_step, memory_bytes = excluded.memory_bytes`;
  await persistently(() => statement.execute(db));
}

export type LogPage = {
  readonly lines: readonly KeptLine[] /** Give it as `after` to go on. */;
  readonly last: number;
};

/** Returns the lines of a request after a sequence number, in order. */
export async function readLogs(db: Database, requestId: string, after = 0): Promise<LogPage> {
  const query = db
    .selectFrom("request_logs")
    .select(["sequence", "at", "level", "message", "left_out"])
    .where("request_id", "=", requestId)
    .where("sequence", ">", after)
    .orderBy("sequence");
  const rows = await persistently(() => query.execute());
  const lines = rows.map(({ at, level, message, left_out: count }) => ({
    message,
    level: level as LogLevel,
    source: "USER" as const,
    timestamp: at.toISOString(),
    ...(count === 0 ? {} : { [leftOut]: count }),
  }));
  return { lines, last: rows.at(-1)?.sequence ?? after };
}

/** Limit on a message, in characters. A trainer may print anything. */
const longestMessage = { stringLength: 4_000, total: 4_000 } as const;

/** Removes credentials from addresses, and the one character that PostgreSQL's text cannot hold. */
function storable(message: string): string {
  return String(shorten(message, longestMessage)).replaceAll("\u0000", "\ufffd");
}
