/** Numbers of the whole service: queued and running requests, devices, webhooks. */

import { sql } from "kysely";
import { type RequestState, requestStates } from "../../wire/queue.ts";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";

export type RequestCounts = Readonly<Record<RequestState, number>>;

export type Overview = {
  /** Requests that are kept, by state. */
  readonly requests: RequestCounts;
  /** The same by endpoint. Endpoints without requests are left out. */
  readonly endpoints: ReadonlyMap<string, RequestCounts>;
  /** Seconds that the oldest queued request has waited. 0 when none is queued. */
  readonly oldestWaitSeconds: number;
  /** Seconds since the request of the oldest pending webhook ended. 0 when none is pending. */
  readonly oldestWebhookSeconds: number;
  /** Devices of live servers: `cuda:0`. */
  readonly devices: readonly string[];
  /** Webhook deliveries that are kept, by state. */
  readonly webhooks: Readonly<Record<WebhookState, number>>;
};

export const webhookStates = ["pending", "delivered", "abandoned"] as const;
export type WebhookState = (typeof webhookStates)[number];

/** @param leaseSeconds a server without a heartbeat for this long counts as dead */
export async function readOverview(db: Database, leaseSeconds: number): Promise<Overview> {
  const [requests, webhooks, workers] = await Promise.all([
    persistently(() => countRequests(db)),
    persistently(() => countDeliveries(db)),
    persistently(() => liveWorkers(db, leaseSeconds)),
  ]);
  return {
    requests: countsOf(requestStates, requests),
    endpoints: new Map(
      [...new Set(requests.map(({ endpoint }) => endpoint))].map((name) => [
        name,
        countsOf(
          requestStates,
          requests.filter(({ endpoint }) => endpoint === name),
        ),
      ]),
    ),
    oldestWaitSeconds: Math.max(
      0,
      ...requests.filter(({ state }) => state === "queued").map(({ age }) => age),
    ),
    oldestWebhookSeconds: webhooks.find(({ state }) => state === "pending")?.age ?? 0,
    devices: workers.flatMap(({ devices }) => devices),
    webhooks: countsOf(webhookStates, webhooks),
  };
}

type Count = { readonly state: string; readonly count: number; readonly age: number };

async function countRequests(db: Database): Promise<(Count & { readonly endpoint: string })[]> {
  const statement = sql<Count & { readonly endpoint: string }>`
    select endpoint, state, count(*) as count, extract(epoch from now() - min(created_at))::float8 as age
    from requests group by endpoint, state`;
  return (await statement.execute(db)).rows;
}

async function countDeliveries(db: Database): Promise<Count[]> {
  const statement = sql<Count>`
    select state, count(*) as count, extract(epoch from now() - min(created_at))::float8 as age
    from webhook_deliveries group by state`;
  return (await statement.execute(db)).rows;
}

function liveWorkers(db: Database, leaseSeconds: number) {
  return db
    .selectFrom("workers")
    .select("devices")
    .where("stopped_at", "is", null)
    .where(sql<boolean>`heartbeat_at > now() - make_interval(secs => ${leaseSeconds}::float8)`)
    .execute();
}

/** Sums by state. States without rows are 0. */
function countsOf<State extends string>(
  states: readonly State[],
  counts: readonly Count[],
): Record<State, number> {
  const sums = new Map<string, number>();
  for (const { state, count } of counts) sums.set(state, (sums.get(state) ?? 0) + count);
  return Object.fromEntries(states.map((state) => [state, sums.get(state) ?? 0])) as Record<State, number>;
}
