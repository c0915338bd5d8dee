/**
 * The queue: requests with state and lease, logs and metrics of their trainings, and workers.
 *
 * Constraints enforce what the code relies on: a running request has a lease, a finished one has a response.
 */
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await createWorkers(db);
  await createRequests(db);
  await createRequestData(db);
  await tellOfChanges(db);
}

async function createWorkers(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table workers (
      id uuid primary key,
      host text not null,
      pid integer not null,
      devices text[] not null,
      started_at timestamptz not null default now(),
      heartbeat_at timestamptz not null default now(),
      stopped_at timestamptz
    )`.execute(db);
}

async function createRequests(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table requests (
      id uuid primary key,
      -- The order of arrival. Kept when a request goes back to the queue, so that it is first again.
      sequence bigint generated always as identity unique,
      -- 'fal-ai/ltx-video-trainer', and what came after it.
      endpoint text not null,
      path text not null,
      user_id text not null,
      key_id text references keys (id),
      -- Where the client reached us: addresses in the answer start with it.
      public_url text not null,
      -- JSON as text: jsonb refuses strings that JSON allows.
      input text not null,
      priority text not null check (priority in ('normal', 'low')),
      webhook_url text,
      lifecycle text,
      stores_io boolean not null default true,
      state text not null check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
      created_at timestamptz not null default now(),
      start_deadline timestamptz,
      started_at timestamptz,
      finished_at timestamptz,
      cancel_requested_at timestamptz,
      worker_id uuid references workers (id),
      lease_id uuid,
      lease_expires_at timestamptz,
      claimed_at timestamptz,
      attempts integer not null default 0,
      -- Leases lost since the last checkpoint.
      losses integer not null default 0,
      run_seconds double precision not null default 0,
      response_status smallint,
      response_headers text,
      response_body text,
      error text,
      error_type text,
      constraint running_has_a_lease check (
        (state = 'running') = (lease_id is not null)
        and (lease_id is null) = (worker_id is null)
        and (lease_id is null) = (lease_expires_at is null)
        and (lease_id is null) = (claimed_at is null)),
      constraint final_has_an_answer check (
        (state in ('succeeded', 'failed', 'cancelled')) = (response_status is not null)
        and (response_status is null) = (finished_at is null)
        and (response_status is null) = (response_body is null))
    )`.execute(db);
  await sql`
    create index requests_waiting on requests (priority desc, sequence) where state = 'queued'`.execute(db);
  await sql`create index requests_leased on requests (lease_expires_at) where state = 'running'`.execute(db);
  await sql`create index requests_of_user on requests (user_id, sequence desc)`.execute(db);
}

async function createRequestData(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table request_logs (
      request_id uuid not null references requests (id) on delete cascade,
      sequence bigint generated always as identity,
      at timestamptz not null,
      level text not null,
      message text not null,
      primary key (request_id, sequence)
    )`.execute(db);
  await sql`
    create table request_metrics (
      request_id uuid not null references requests (id) on delete cascade,
      step integer not null,
      at timestamptz not null,
      loss double precision,
      learning_rate double precision not null,
      seconds_per_step double precision not null,
      memory_bytes bigint not null,
      primary key (request_id, step)
    )`.execute(db);
  await sql`
    create table idempotency_keys (
      user_id text not null,
      key text not null,
      body_hash bytea not null,
      request_id uuid not null references requests (id) on delete cascade,
      created_at timestamptz not null default now(),
      primary key (user_id, key)
    )`.execute(db);
}

/** Notifies of every change of a request, manual ones included. */
async function tellOfChanges(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function tell_of_request() returns trigger language plpgsql as $$
    begin
      perform pg_notify('ltx_request', json_build_object(
        'id', new.id, 'state', new.state, 'isCancelRequested', new.cancel_requested_at is not null)::text);
      return null;
    end $$`.execute(db);
  await sql`
    create trigger request_changed
      after insert or update of state, cancel_requested_at on requests
      for each row execute function tell_of_request()`.execute(db);
  await sql`
    create function tell_of_logs() returns trigger language plpgsql as $$
    begin
      perform pg_notify('ltx_request', json_build_object(
        'id', request_id, 'state', 'running', 'isCancelRequested', false)::text)
        from (select distinct request_id from added) as changed;
      return null;
    end $$`.execute(db);
  await sql`
    create trigger logs_added
      after insert on request_logs referencing new table as added
      for each statement execute function tell_of_logs()`.execute(db);
}
