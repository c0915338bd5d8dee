/**
 * Listens to the database for changed requests and new webhook deliveries. Every server gets every notification, its own
 * included.
 *
 * Everything also works by polling, only later.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { sql } from "kysely";
import pg from "pg";
import type { Logger } from "pino";
import type { RequestState } from "../wire/queue.ts";
import { connectionOptions, type Database, type DatabaseAddress } from "./database.ts";

/** Also sent when a running request has new log lines. `isCancelRequested` has no meaning then. */
export type RequestChange = {
  readonly id: string;
  readonly state: RequestState;
  readonly isCancelRequested: boolean;
};

/** Undefined: notifications may have been missed, so check everything. */
export type ChangeListener = (change: RequestChange | undefined) => void;

const channels = { requests: "ltx_request", webhooks: "ltx_webhook", probe: "ltx_probe" } as const;

/** Pause between the probes of one check. */
const probeMs = 1_000;

export class ChangeFeed {
  readonly #address: DatabaseAddress;
  readonly #log: Logger;
  readonly #requestListeners = new Set<ChangeListener>();
  readonly #webhookListeners = new Set<() => void>();
  readonly #probeListeners = new Set<(word: string) => void>();
  #client: pg.Client | undefined;
  /** Whether `close` was called. */
  isClosed = false;

  constructor(address: DatabaseAddress, log: Logger) {
    this.#address = address;
    this.#log = log;
  }

  /** Connects, and reconnects when the connection is lost. @throws when the first attempt fails */
  async open(): Promise<void> {
    const client = new pg.Client(connectionOptions(this.#address));
    // The failing call or the `end` event reports the error.
    client.on("error", () => {});
    client.on("notification", ({ channel, payload }) => this.#onNotification(channel, payload));
    try {
      await client.connect();
      for (const channel of Object.values(channels)) await client.query(`listen ${channel}`);
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
    client.once("end", () => void this.#reopen());
    this.#client = client;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.#client?.end();
  }

  /** Calls `listener` for every change of a request. Returns a function that unsubscribes. */
  onRequest(listener: ChangeListener): () => void {
    this.#requestListeners.add(listener);
    return () => this.#requestListeners.delete(listener);
  }

  /** Calls `listener` for every new webhook delivery. Returns a function that unsubscribes. */
  onWebhook(listener: () => void): () => void {
    this.#webhookListeners.add(listener);
    return () => this.#webhookListeners.delete(listener);
  }

  /**
   * Tells whether notifications of another connection arrive. Behind a pooler in transaction mode LISTEN succeeds, and no
   * notification ever arrives.
   */
  async receivesNotifications(db: Database, patienceMs: number): Promise<boolean> {
    const own = randomUUID();
    let isHeard = false;
    const heard = new Promise<void>((resolve) => {
      const listener = (word: string) => {
        if (word !== own) return;
        isHeard = true;
        this.#probeListeners.delete(listener);
        resolve();
      };
      this.#probeListeners.add(listener);
    });
    const deadline = performance.now() + patienceMs;
    while (!isHeard && !this.isClosed && performance.now() < deadline) {
      await sql`select pg_notify(${channels.probe}, ${own})`.execute(db);
      await Promise.race([heard, delay(Math.min(probeMs, patienceMs), undefined, { ref: false })]);
    }
    return isHeard;
  }

  #onNotification(channel: string, payload: string | undefined): void {
    if (channel === channels.probe) {
      for (const listener of this.#probeListeners) listener(payload ?? "");
    } else if (channel === channels.webhooks) {
      this.#notifyWebhooks();
    } else {
      const change = JSON.parse(payload ?? "null") as RequestChange;
      for (const listener of this.#requestListeners) listener(change);
    }
  }

  #notifyWebhooks(): void {
    for (const listener of this.#webhookListeners) listener();
  }

  async #reopen(): Promise<void> {
    for (let pauseMs = 50; !this.isClosed; pauseMs = Math.min(2 * pauseMs, 2_000)) {
      try {
        await this.open();
        for (const listener of this.#requestListeners) listener(undefined);
        this.#notifyWebhooks();
        return;
      } catch (error) {
        this.#log.warn({ err: error }, "database: LISTEN connection lost, reconnecting");
        await delay(pauseMs);
      }
    }
  }
}
