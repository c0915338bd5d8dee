/** Quotas: reserved bytes and payload sizes. And the original names of files. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table byte_reservations (
      id uuid primary key,
      user_id text not null,
      -- The part of an upload that is being received; null for a whole file.
      upload_id text references uploads (id) on delete cascade,
      part_number integer,
      bytes bigint not null,
      -- Prolonged while bytes come. One whose server died counts no longer than this.
      expires_at timestamptz not null
    )`.execute(db);
  await sql`create index byte_reservations_of_user on byte_reservations (user_id)`.execute(db);
  await sql`create index byte_reservations_of_upload on byte_reservations (upload_id)`.execute(db);
  await sql`
    alter table files
      -- As its owner called it. The address has only plain letters of it.
      add column file_name text`.execute(db);
  await sql`
    create index requests_unfinished_of_user on requests (user_id) where state in ('queued', 'running')`.execute(
    db,
  );
  await sql`
    alter table requests add column payload_bytes bigint generated always as (
      octet_length(input) + coalesce(octet_length(response_body), 0)) stored`.execute(db);
  await sql`
    create index requests_payload_bytes on requests (user_id) include (payload_bytes)
      where payload_removed_at is null`.execute(db);
}
