/** Deletes old payloads (input, result, logs, steps) in one statement. The row of the request stays as history. */
import { sql } from "kysely";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";

/** How long the result of a request with `X-Fal-Store-IO: 0` can be read. */
const unstoredHours = 1;

/**
 * Deletes the payloads of requests that ended `days` ago, or an hour ago when they asked not to be stored. A pending webhook
 * keeps its payload.
 *
 * @returns their ids, at most `limit`
 */
export async function removeOldPayloads(db: Database, days: number, limit: number): Promise<string[]> {
  const statement = sql<{ id: string }>`
    with old as (
      update requests set input = 'null', response_body = 'null', payload_removed_at = now()
      where id in (
        select id from requests
        where finished_at is not null and payload_removed_at is null
          and finished_at < now() - case when stores_io then make_interval(secs => ${days * 86_400})
            else make_interval(hours => ${unstoredHours}) end
          and not exists (
            select from webhook_deliveries where request_id = requests.id and state = 'pending')
        limit ${limit})
      returning id),
    logs as (delete from request_logs where request_id in (select id from old)),
    steps as (delete from request_metrics where request_id in (select id from old))
    select id from old`;
  const { rows } = await persistently(() => statement.execute(db));
  return rows.map(({ id }) => id);
}

/** Returns those of the requests that have ended. */
export async function endedRequests(db: Database, ids: readonly string[]): Promise<string[]> {
  const query = sql<{ id: string }>`
    select id from requests where id = any(${ids}::uuid[]) and finished_at is not null`;
  const { rows } = await persistently(() => query.execute(db));
  return rows.map(({ id }) => id);
}

/** Returns those of the requests that have not ended, or ended less than `days` ago. */
export async function recentRequests(
  db: Database,
  ids: readonly string[],
  days: number,
): Promise<Set<string>> {
  const query = sql<{ id: string }>`
    select id from requests where id = any(${ids}::uuid[])
      and (finished_at is null or finished_at > now() - make_interval(secs => ${days * 86_400}))`;
  const { rows } = await persistently(() => query.execute(db));
  return new Set(rows.map(({ id }) => id));
}
