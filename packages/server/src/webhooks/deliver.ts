/**
 * Sends webhooks: claims due deliveries, a few at a time, and records the result of each.
 *
 * Any number of servers may do so at the same time. Each delivery is claimed by one of them.
 */
import type { KeyObject } from "node:crypto";
import type { Logger } from "pino";
import { type Agent, request } from "undici";
import type { WebhookConfig } from "../config/webhooks.ts";
import type { ChangeFeed } from "../db/change-feed.ts";
import type { Database } from "../db/database.ts";
import {
  type Attempt,
  claimDelivery,
  type Delivery,
  finishDelivery,
  msUntilDelivery,
  postponeDelivery,
  releaseDelivery,
  type Saturated,
} from "../db/webhooks.ts";
import { webhookPayload } from "./payload.ts";
import { signatureHeaders } from "./sign.ts";
import { ForbiddenTarget, makeWebhookAgent } from "./target.ts";

export type WebhookDeps = {
  readonly db: Database;
  readonly feed: ChangeFeed;
  readonly log: Logger;
  readonly config: WebhookConfig;
  readonly key: KeyObject;
};

/** Timeouts of the first attempt and of the others. Source: fal.ai/docs, webhooks, "Retry policy". */
const timeoutSeconds = { first: 15, later: 120 } as const;
/** Added to the lease for the statements around an attempt. */
const leaseMarginSeconds = 10;
const leaseSeconds = {
  first: timeoutSeconds.first + leaseMarginSeconds,
  later: timeoutSeconds.later + leaseMarginSeconds,
};
const longestPauseSeconds = 600;
/**
 * Concurrent attempts, in all and per receiver or user: a receiver that never answers holds an attempt for two minutes and must
 * not hold all of them.
 */
const mostAtOnce = { all: 32, user: 16, receiver: 4 } as const;
/** Polling interval without notifications. */
const idleMs = 10_000;
/** How long attempts may continue when the server stops. */
const stopGraceMs = 2_000;

type Outcome = Attempt & { readonly isFinal: boolean };

export class WebhookSender {
  readonly #deps: WebhookDeps;
  readonly #agent: Agent;
  readonly #ending = new AbortController();
  readonly #cut = new AbortController();
  readonly #underWay = new Map<Promise<void>, Delivery>();
  #running: Promise<void> = Promise.resolve();
  #unsubscribe: (() => void) | undefined;
  #isWoken = false;
  #wakeUp: (() => void) | undefined;

  constructor(deps: WebhookDeps) {
    this.#deps = deps;
    this.#agent = makeWebhookAgent(deps.config);
  }

  start(): void {
    this.#unsubscribe = this.#deps.feed.onWebhook(() => this.#wake());
    this.#running = this.#run();
  }

  /** Stops within seconds. Unfinished deliveries are released to the next server at once. */
  async stop(): Promise<void> {
    this.#ending.abort();
    this.#unsubscribe?.();
    this.#wake();
    const timer = setTimeout(() => this.#cut.abort(), stopGraceMs);
    await this.#running;
    await Promise.all(this.#underWay.keys());
    clearTimeout(timer);
    await this.#agent.destroy();
  }

  async #run(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      this.#isWoken = false;
      try {
        const saturated = this.#saturated();
        const delivery = await claimDelivery(this.#deps.db, leaseSeconds, saturated);
        if (delivery === undefined) {
          await this.#sleep((await msUntilDelivery(this.#deps.db, saturated)) ?? idleMs);
        } else this.#begin(delivery);
        if (this.#underWay.size >= mostAtOnce.all) await Promise.race(this.#underWay.keys());
      } catch (error) {
        this.#deps.log.error({ err: error }, "webhook: claim failed, retrying");
        await this.#sleep(idleMs);
      }
    }
  }

  #wake(): void {
    this.#isWoken = true;
    this.#wakeUp?.();
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#isWoken) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wakeUp = resolve;
      timer = setTimeout(resolve, Math.min(ms, idleMs));
    });
    clearTimeout(timer);
  }

  #begin(delivery: Delivery): void {
    const work = this.#deliver(delivery)
      .catch((error: unknown) =>
        this.#deps.log.error({ err: error, request: delivery.requestId }, "webhook: result not recorded"),
      )
      .finally(() => {
        this.#underWay.delete(work);
        // A share may be free now.
        this.#wake();
      });
    this.#underWay.set(work, delivery);
  }

  /** Returns the receivers and users whose share of attempts is used up. */
  #saturated(): Saturated {
    const deliveries = [...this.#underWay.values()];
    return {
      receivers: valuesOccurring(
        deliveries.map(({ receiver }) => receiver),
        mostAtOnce.receiver,
      ),
      users: valuesOccurring(
        deliveries.map(({ userId }) => userId),
        mostAtOnce.user,
      ),
    };
  }

  async #deliver(delivery: Delivery): Promise<void> {
    const { db, config } = this.#deps;
    const outcome = await this.#send(delivery);
    const { status, error } = outcome;
    // Without path and query: webhook URLs often hold a secret.
    const about = {
      request: delivery.requestId,
      to: originOf(delivery.url),
      attempt: delivery.attempts,
      status,
      error,
    };
    const log = this.#deps.log.child(about);
    if (error === null) {
      await finishDelivery(db, delivery, { ...outcome, state: "delivered" });
      return log.info("webhook: delivered");
    }
    if (this.#cut.signal.aborted) return releaseDelivery(db, delivery);
    if (outcome.isFinal || delivery.attempts >= config.attempts) {
      await finishDelivery(db, delivery, { ...outcome, state: "abandoned" });
      return log.error("webhook: abandoned");
    }
    const pauseSeconds = pauseAfter(delivery.attempts, config.firstPauseSeconds);
    await postponeDelivery(db, delivery, { status, error, pauseSeconds });
    log.warn({ pauseSeconds }, "webhook: not received, retrying");
    // The pause may end before the next poll.
    this.#wake();
  }

  /** Makes one attempt. Never throws. */
  async #send(delivery: Delivery): Promise<Outcome> {
    const { requestId, userId, url, attempts } = delivery;
    const timeout = AbortSignal.timeout(
      (attempts === 1 ? timeoutSeconds.first : timeoutSeconds.later) * 1000,
    );
    try {
      const body = webhookPayload(delivery);
      const timestamp = Math.floor(Date.now() / 1000);
      const response = await request(url, {
        method: "POST",
        dispatcher: this.#agent,
        signal: AbortSignal.any([timeout, this.#cut.signal]),
        headers: {
          "content-type": "application/json",
          "user-agent": "ltx-video-trainer",
          ...signatureHeaders(this.#deps.key, { requestId, userId, timestamp, body }),
        },
        body,
      });
      const { statusCode: status } = response;
      // The status is known. The body does not matter.
      await response.body.dump().catch(() => {});
      if (status >= 200 && status < 300) return { status, error: null, isFinal: true };
      return {
        status,
        error: `answered with status ${status}, expected 2xx`,
        isFinal: status >= 300 && status < 400,
      };
    } catch (error) {
      return { status: null, error: reasonOf(error, url), isFinal: error instanceof ForbiddenTarget };
    }
  }
}

/** Exponential backoff with up to 10 % jitter. */
function pauseAfter(attempts: number, firstSeconds: number): number {
  const seconds = Math.min(firstSeconds * 2 ** (attempts - 1), longestPauseSeconds);
  return seconds * (1 + Math.random() / 10);
}

/** Returns the values that occur at least `count` times. */
function valuesOccurring(values: readonly string[], count: number): string[] {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].filter(([, found]) => found >= count).map(([value]) => value);
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : "an invalid address";
}

/** Returns the reason without the address, because it is logged and stored. */
function reasonOf(error: unknown, url: string): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "no answer in time";
  return (error.message || error.name).replaceAll(url, originOf(url));
}
