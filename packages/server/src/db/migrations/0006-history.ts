/** History of requests: listing by time, and deleting payloads. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  // What was deleted is gone from `input` and `response_body`; the request itself stays in the history.
  await sql`alter table requests add column if not exists payload_removed_at timestamptz`.execute(db);
  await sql`create index requests_of_user_by_time on requests (user_id, created_at desc)`.execute(db);
}
