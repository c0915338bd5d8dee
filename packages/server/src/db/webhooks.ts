/**
 * Webhook deliveries: rows that a trigger adds when a request ends, and that wait until they are sent or given up.
 *
 * A delivery in hand is leased. One whose server dies is sent again when the lease runs out: at least once, never lost.
 */

import { type SqlBool, sql } from "kysely";
import type { RequestState } from "../wire/queue.ts";
import type { Database } from "./database.ts";
import { persistently } from "./persist.ts";

export type Delivery = {
  readonly id: string;
  /** This one included, from 1. */
  readonly attempts: number;
  readonly url: string;
  /** Host and port of the address. */
  readonly receiver: string;
  readonly requestId: string;
  readonly userId: string;
  readonly state: RequestState;
  readonly status: number;
  /** What went wrong, in a sentence; null for a good end. */
  readonly error: string | null;
  /** The answer, JSON. */
  readonly body: string;
};

/** What came of an attempt. */
export type Attempt = {
  /** Of the receiver's answer; null when there was none. */
  readonly status: number | null;
  /** Null when it was received. */
  readonly error: string | null;
};

/** Whose deliveries are left alone for now, because enough of theirs are under way. */
export type Saturated = { readonly receivers: readonly string[]; readonly users: readonly string[] };

/**
 * Takes the delivery that is due longest, or undefined when none is.
 *
 * @param leaseSeconds longer than the attempt can take; given the number of attempts before
 */
export async function claimDelivery(
  db: Database,
  leaseSeconds: { readonly first: number; readonly later: number },
  saturated: Saturated,
): Promise<Delivery | undefined> {
  const statement = sql<Delivery>`
    update webhook_deliveries as delivery set
      attempts = delivery.attempts + 1,
      lease_expires_at = now() + make_interval(
        secs => case when delivery.attempts = 0 then ${leaseSeconds.first}::float8 else ${leaseSeconds.later}::float8 end)
    from requests
    where requests.id = delivery.request_id and delivery.id = (
      select due.id from webhook_deliveries as due join requests on requests.id = due.request_id
      where due.state = 'pending' and due.next_attempt_at <= now()
        and (due.lease_expires_at is null or due.lease_expires_at <= now()) and ${isServed(saturated)}
      order by due.next_attempt_at limit 1 for update of due skip locked)
    returning
      delivery.id, delivery.attempts, delivery.url, delivery.receiver,
      requests.id as "requestId", requests.user_id as "userId", requests.state,
      requests.response_status as status, requests.error,
      coalesce(delivery.payload, requests.response_body) as body`;
  // Should the answer be lost, a second run takes the next one, and this one is due again after its lease.
  return (await persistently(() => statement.execute(db))).rows[0];
}

function isServed({ receivers, users }: Saturated) {
  return sql<SqlBool>`(
    due.receiver <> all(${receivers}::text[]) and requests.user_id <> all(${users}::text[]))`;
}

/** Milliseconds until something is due; undefined when nothing waits. */
export async function msUntilDelivery(db: Database, saturated: Saturated): Promise<number | undefined> {
  const statement = sql<{ seconds: number | null }>`
    select extract(epoch from min(greatest(due.next_attempt_at, due.lease_expires_at)) - now())::float8 as seconds
    from webhook_deliveries as due join requests on requests.id = due.request_id
    where due.state = 'pending' and ${isServed(saturated)}`;
  const seconds = (await persistently(() => statement.execute(db))).rows[0]?.seconds ?? null;
  return seconds === null ? undefined : Math.max(0, seconds * 1000);
}

/** Only for whoever still holds it: a later attempt of somebody else counts for more. */
const held = ({ id, attempts }: Delivery) =>
  sql<SqlBool>`id = ${id} and attempts = ${attempts} and state = 'pending'`;

/** It was received, or will never be. */
export async function finishDelivery(
  db: Database,
  delivery: Delivery,
  end: Attempt & { readonly state: "delivered" | "abandoned" },
): Promise<void> {
  const statement = db
    .updateTable("webhook_deliveries")
    .set({
      state: end.state,
      last_status: end.status,
      last_error: end.error,
      lease_expires_at: null,
      payload: null,
      finished_at: sql<Date>`now()`,
    })
    .where(held(delivery));
  await persistently(() => statement.execute());
}

/** It was not received, and is tried again after a pause. */
export async function postponeDelivery(
  db: Database,
  delivery: Delivery,
  { status, error, pauseSeconds }: Attempt & { readonly pauseSeconds: number },
): Promise<void> {
  const statement = db
    .updateTable("webhook_deliveries")
    .set({
      last_status: status,
      last_error: error,
      lease_expires_at: null,
      next_attempt_at: sql<Date>`now() + make_interval(secs => ${pauseSeconds}::float8)`,
    })
    .where(held(delivery));
  await persistently(() => statement.execute());
}

/** The server stops in the middle of an attempt: the next server makes it, at once. */
export async function releaseDelivery(db: Database, delivery: Delivery): Promise<void> {
  const statement = db
    .updateTable("webhook_deliveries")
    .set({ attempts: delivery.attempts - 1, lease_expires_at: null })
    .where(held(delivery));
  await persistently(() => statement.execute());
}
