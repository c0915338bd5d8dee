/** Access: keys, short-lived tokens, and the secrets that servers share. */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table keys (
      id text primary key,
      name text not null,
      -- Requests and files belong to a user; several keys may speak for one.
      user_id text not null,
      scope text not null check (scope in ('api', 'admin')),
      -- sha256 of the secret, which is random and long: nothing slower is needed.
      secret_hash bytea not null,
      created_at timestamptz not null default now(),
      last_used_at timestamptz,
      revoked_at timestamptz
    )`.execute(db);
  await sql`
    create table tokens (
      token_hash bytea primary key,
      -- 'app' calls endpoints, 'cdn' uploads files.
      kind text not null check (kind in ('app', 'cdn')),
      user_id text not null,
      key_id text references keys (id),
      allowed_apps text[],
      created_at timestamptz not null default now(),
      expires_at timestamptz not null
    )`.execute(db);
  await sql`create index tokens_expiry on tokens (expires_at)`.execute(db);
  await sql`
    create table secrets (
      name text primary key,
      value bytea not null,
      created_at timestamptz not null default now()
    )`.execute(db);
}
