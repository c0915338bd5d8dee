/** Recovery from failures on the server's side: pauses, and trained files that wait for publication on their machine. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table requests
      -- Not to be claimed earlier.
      add column not_before timestamptz,
      -- Failures of the server's side since the last checkpoint.
      add column setbacks integer not null default 0,
      -- JSON of the trainer's outputs, once the LoRA is written: only publishing is left to do.
      add column trained_outputs text,
      add column trained_at timestamptz,
      -- The data folder that holds them.
      add column trained_home text,
      add constraint trained_is_complete check (
        (trained_outputs is null) = (trained_home is null)
        and (trained_outputs is null) = (trained_at is null))`.execute(db);
  // Higher is earlier. Words would be ordered by their letters.
  await sql`
    alter table requests
      drop constraint requests_priority_check,
      alter column priority type smallint using (case priority when 'low' then -1 else 0 end)`.execute(db);
  await sql`create index requests_trained on requests (trained_home) where trained_home is not null`.execute(
    db,
  );
  await sql`alter table workers add column home text`.execute(db);
}
