/** Bounded logs: a line can replace others. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table request_logs
      -- How many lines this one stands for; 0 for an ordinary one.
      add column left_out integer not null default 0`.execute(db);
}
