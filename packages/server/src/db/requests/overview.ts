/** The whole service in numbers: what waits, what runs, who works. */

import { sql } from "kysely";
import { type RequestState, requestStates } from "../../wire/queue.ts";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";

export type Overview = {
  /** Requests that are kept, by state. */
  readonly requests: Readonly<Record<RequestState, number>>;
  /** Seconds that the oldest waiting request has waited; 0 when none waits. */
  readonly oldestWaitSeconds: number;
  /** Seconds that the oldest pending webhook has waited since its request ended; 0 when none is pending. */
  readonly oldestWebhookSeconds: number;
  /** Devices of servers that are alive: `cuda:0`. */
  readonly devices: readonly string[];
  /** Deliveries of webhooks that are kept, by state. */
  readonly webhooks: Readonly<Record<WebhookState, number>>;
};

export const webhookStates = ["pending", "delivered", "abandoned"] as const;
export type WebhookState = (typeof webhookStates)[number];

/** @param leaseSeconds a server not heard of for so long counts as gone */
export async function readOverview(db: Database, leaseSeconds: number): Promise<Overview> {
  const [requests, webhooks, workers] = await Promise.all([
    persistently(() => countByState(db, "requests")),
    persistently(() => countByState(db, "webhook_deliveries")),
    persistently(() => liveWorkers(db, leaseSeconds)),
  ]);
  return {
    requests: filled(requestStates, requests),
    oldestWaitSeconds: requests.find(({ state }) => state === "queued")?.age ?? 0,
    oldestWebhookSeconds: webhooks.find(({ state }) => state === "pending")?.age ?? 0,
    devices: workers.flatMap(({ devices }) => devices),
    webhooks: filled(webhookStates, webhooks),
  };
}

type Count = { readonly state: string; readonly count: number; readonly age: number };

async function countByState(db: Database, table: "requests" | "webhook_deliveries"): Promise<Count[]> {
  const statement = sql<Count>`
    select state, count(*) as count, extract(epoch from now() - min(created_at))::float8 as age
    from ${sql.table(table)} group by state`;
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

/** Also the states that nothing is in. */
function filled<State extends string>(
  states: readonly State[],
  counts: readonly Count[],
): Record<State, number> {
  const found = new Map(counts.map(({ state, count }) => [state, count]));
  return Object.fromEntries(states.map((state) => [state, found.get(state) ?? 0])) as Record<State, number>;
}
