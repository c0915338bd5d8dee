/**
 * Webhook deliveries: rows that a trigger adds when a request ends, and that wait until they are sent or given up.
 *
 * A delivery in hand is leased. One whose server dies is sent again when the lease runs out: at least once, never lost.
 */
import type { RequestState } from "@ltx-trainer/contract";
import { type SqlBool, sql } from "kysely";
import type { Database } from "./database.ts";
import { persistently } from "./persist.ts";

export type Delivery = {
  readonly id: string;
  /** This one included, from 1. */
  readonly attempts: number;
  readonly url: string;
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

/**
 * Takes the delivery that is due longest, or undefined when none is.
 *
 * @param leaseSeconds longer than the attempt can take; given the number of attempts before
 */
export async function claimDelivery(
  db: Database,
  leaseSeconds: { readonly first: number; readonly later: number },
): Promise<Delivery | undefined> {
  const statement = sql<Delivery>`
    update webhook_deliveries as delivery set
      attempts = delivery.attempts + 1,
      lease_expires_at = now() + make_interval(
        secs => case when delivery.attempts = 0 then ${leaseSeconds.first}::float8 else ${leaseSeconds.later}::float8 end)
    from requests
    where requests.id = delivery.request_id and delivery.id = (
      select id from webhook_deliveries
      where state = 'pending' and next_attempt_at <= now() and (lease_expires_at is null or lease_expires_at <= now())
      order by next_attempt_at limit 1 for update skip locked)
    returning
      delivery.id, delivery.attempts, delivery.url,
      requests.id as "requestId", requests.user_id as "userId", requests.state,
      requests.response_status as status, requests.error, requests.response_body as body`;
  // Should the answer be lost, a second run takes the next one, and this one is due again after its lease.
  return (await persistently(() => statement.execute(db))).rows[0];
}

/** Milliseconds until something is due; undefined when nothing waits. */
export async function msUntilDelivery(db: Database): Promise<number | undefined> {
  const query = db
    .selectFrom("webhook_deliveries")
    .select(
      sql<
        number | null
      >`extract(epoch from min(greatest(next_attempt_at, lease_expires_at)) - now())::float8`.as("seconds"),
    )
    .where("state", "=", "pending");
  const { seconds } = await persistently(() => query.executeTakeFirstOrThrow());
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
