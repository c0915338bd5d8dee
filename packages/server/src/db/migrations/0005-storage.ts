/** Retention of files: hashes, inputs that came inside a request, and deleted payloads. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table files
      -- sha256 of an upload, so that one that is repeated is known.
      add column content_hash text,
      -- The request whose input held it as a data URI. No reference: the file is there first.
      add column input_of uuid`.execute(db);
  await sql`create index files_inputs on files (input_of) where input_of is not null`.execute(db);
  // Files outlive the request that made them.
  await sql`
    alter table files
      drop constraint files_request_id_fkey,
      add constraint files_request_id_fkey foreign key (request_id)
        references requests (id) on delete set null`.execute(db);
  await sql`alter table requests add column if not exists payload_removed_at timestamptz`.execute(db);
  await sql`
    create index requests_with_payload on requests (finished_at)
      where finished_at is not null and payload_removed_at is null`.execute(db);
}
