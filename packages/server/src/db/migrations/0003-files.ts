/** Files (uploads and outputs of trainings) and uploads in parts. The bytes are in the file store. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table files (
      id uuid primary key,
      -- Its address: /files/b/<store>/<name>.
      store text not null,
      name text not null,
      user_id text not null,
      content_type text not null,
      size_bytes bigint,
      state text not null check (state in ('pending', 'complete')),
      origin text not null check (origin in ('upload', 'output')),
      request_id uuid references requests (id) on delete cascade,
      -- JSON: {"default": "allow" | "forbid" | "hide", "rules": [...]}.
      acl text,
      created_at timestamptz not null default now(),
      expires_at timestamptz,
      unique (store, name),
      check ((state = 'complete') = (size_bytes is not null))
    )`.execute(db);
  await sql`create index files_expiry on files (expires_at) where expires_at is not null`.execute(db);
  await sql`create index files_of_user on files (user_id)`.execute(db);
  await sql`create index files_of_request on files (request_id) where request_id is not null`.execute(db);
  await sql`
    create table uploads (
      id text primary key,
      file_id uuid not null references files (id) on delete cascade,
      created_at timestamptz not null default now(),
      expires_at timestamptz not null
    )`.execute(db);
  await sql`
    create table upload_parts (
      upload_id text not null references uploads (id) on delete cascade,
      part_number integer not null check (part_number between 1 and 10000),
      size_bytes bigint not null,
      etag text not null,
      created_at timestamptz not null default now(),
      primary key (upload_id, part_number)
    )`.execute(db);
}
