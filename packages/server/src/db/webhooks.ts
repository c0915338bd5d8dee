/**
 * Webhook deliveries: rows that a trigger adds when a request ends. Each is pending until it is delivered or abandoned.
 *
 * A claimed delivery has a lease. If its server dies, it is due again when the lease expires: at least once.
 */

import { type SqlBool, sql } from "kysely";
import type { RequestState } from "../wire/queue.ts";
import type { Database } from "./database.ts";
import { persistently } from "./persist.ts";

export type Delivery = {
  readonly id: string;
  /** Attempts including this one. */
  readonly attempts: number;
  readonly url: string;
  /** Host and port of the address. */
  readonly receiver: string;
  readonly requestId: string;
  readonly userId: string;
  readonly state: RequestState;
  readonly status: number;
  /** Error message. Null after success. */
  readonly error: string | null;
  /** The response as JSON. */
  readonly body: string;
};

/** The result of an attempt. */
export type Attempt = {
  /** Status of the receiver's response. Null when there was none. */
  readonly status: number | null;
  /** Null when it was delivered. */
  readonly error: string | null;
};

/** Receivers and users whose share of concurrent attempts is used up. */
export type Saturated = { readonly receivers: readonly string[]; readonly users: readonly string[] };

/**
 * Claims the delivery that has been due longest. Undefined when none is due.
 *
 * @param leaseSeconds must exceed the duration of the attempt. Called with the number of earlier attempts
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
  // If the response is lost, a second run claims the next delivery, and this one is due again after its lease.
  return (await persistently(() => statement.execute(db))).rows[0];
}

function isServed({ receivers, users }: Saturated) {
  return sql<SqlBool>`(
    due.receiver <> all(${receivers}::text[]) and requests.user_id <> all(${users}::text[]))`;
}

/** Returns the milliseconds until a delivery is due. Undefined when none is pending. */
export async function msUntilDelivery(db: Database, saturated: Saturated): Promise<number | undefined> {
  const statement = sql<{ seconds: number | null }>`
    select extract(epoch from min(greatest(due.next_attempt_at, due.lease_expires_at)) - now())::float8 as seconds
    from webhook_deliveries as due join requests on requests.id = due.request_id
    where due.state = 'pending' and ${isServed(saturated)}`;
  const seconds = (await persistently(() => statement.execute(db))).rows[0]?.seconds ?? null;
  return seconds === null ? undefined : Math.max(0, seconds * 1000);
}

/** Matches only while this attempt holds the delivery: a later attempt of another server wins. */
const held = ({ id, attempts }: Delivery) =>
  sql<SqlBool>`id = ${id} and attempts = ${attempts} and state = 'pending'`;

/** Records that a delivery was delivered or abandoned. */
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

/** Records a failed attempt. The delivery is retried after a pause. */
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

/** Releases a delivery when the server stops during an attempt. The next server retries it at once. */
export async function releaseDelivery(db: Database, delivery: Delivery): Promise<void> {
  const statement = db
    .updateTable("webhook_deliveries")
    .set({ attempts: delivery.attempts - 1, lease_expires_at: null })
    .where(held(delivery));
  await persistently(() => statement.execute());
}
