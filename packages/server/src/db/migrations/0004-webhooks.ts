/**
 * Webhook deliveries: one row each, inserted by the statement that ends the request, so that none is lost. The body is built
 * from the request's response at each attempt.
 */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table webhook_deliveries (
      id uuid primary key default gen_random_uuid(),
      request_id uuid not null unique references requests (id) on delete cascade,
      url text not null,
      state text not null default 'pending' check (state in ('pending', 'delivered', 'abandoned')),
      attempts integer not null default 0,
      next_attempt_at timestamptz not null default now(),
      lease_expires_at timestamptz,
      last_status smallint,
      last_error text,
      created_at timestamptz not null default now(),
      finished_at timestamptz,
      check ((state = 'pending') = (finished_at is null))
    )`.execute(db);
  await sql`
    create index webhook_deliveries_due on webhook_deliveries (next_attempt_at) where state = 'pending'`.execute(
    db,
  );
  await sql`
    create function insert_webhook_delivery() returns trigger language plpgsql as $$
    begin
      insert into webhook_deliveries (request_id, url) values (new.id, new.webhook_url);
      perform pg_notify('ltx_webhook', '');
      return null;
    end $$`.execute(db);
  await sql`
    create trigger request_ended
      after insert or update of state on requests
      for each row when (new.finished_at is not null and new.webhook_url is not null)
      execute function insert_webhook_delivery()`.execute(db);
}
