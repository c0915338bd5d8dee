/**
 * News from the database: which request changed. Every server hears every change, its own included.
 *
 * Without it all would still work, from polling; with it waiting ends at once.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { sql } from "kysely";
import pg from "pg";
import type { Logger } from "pino";
import type { RequestState } from "../wire/queue.ts";
import { connectionOptions, type Database, type DatabaseAddress } from "./database.ts";

/** Also told when a running request has new lines of log; then `isCancelRequested` says nothing. */
export type RequestChange = {
  readonly id: string;
  readonly state: RequestState;
  readonly isCancelRequested: boolean;
};

/** Undefined: something may have been missed, look at everything. */
export type ChangeListener = (change: RequestChange | undefined) => void;

const channels = { requests: "ltx_request", webhooks: "ltx_webhook", probe: "ltx_probe" } as const;

/** Between two probes of one check. */
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

  /** Connects; afterwards a lost connection is made again. @throws when the first connection fails */
  async open(): Promise<void> {
    const client = new pg.Client(connectionOptions(this.#address));
    // What went wrong is told by the call that fails, or by the end that follows.
    client.on("error", () => {});
    client.on("notification", ({ channel, payload }) => this.#hear(channel, payload));
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

  /** Calls `listener` for every change of a request; returns how to stop that. */
  onRequest(listener: ChangeListener): () => void {
    this.#requestListeners.add(listener);
    return () => this.#requestListeners.delete(listener);
  }

  /** Calls `listener` when a webhook delivery has come; returns how to stop that. */
  onWebhook(listener: () => void): () => void {
    this.#webhookListeners.add(listener);
    return () => this.#webhookListeners.delete(listener);
  }

  /**
   * Whether notifications of another connection arrive here. Behind a pooler in transaction mode LISTEN succeeds, and
   * no notification ever arrives.
   */
  async hears(db: Database, patienceMs: number): Promise<boolean> {
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

  #hear(channel: string, payload: string | undefined): void {
    if (channel === channels.probe) {
      for (const listener of this.#probeListeners) listener(payload ?? "");
    } else if (channel === channels.webhooks) {
      this.#tellWebhooks();
    } else {
      const change = JSON.parse(payload ?? "null") as RequestChange;
      for (const listener of this.#requestListeners) listener(change);
    }
  }

  #tellWebhooks(): void {
    for (const listener of this.#webhookListeners) listener();
  }

  async #reopen(): Promise<void> {
    for (let pauseMs = 50; !this.isClosed; pauseMs = Math.min(2 * pauseMs, 2_000)) {
      try {
        await this.open();
        for (const listener of this.#requestListeners) listener(undefined);
        this.#tellWebhooks();
        return;
      } catch (error) {
        this.#log.warn({ err: error }, "database: LISTEN connection lost, reconnecting");
        await delay(pauseMs);
      }
    }
  }
}
