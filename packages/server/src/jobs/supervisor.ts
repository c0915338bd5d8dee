/**
 * Runs trainings: one at a time on each device, under leases that a heartbeat prolongs.
 *
 * The database decides who works on what. A supervisor that cannot reach it for the length of a lease ends its trainings,
 * because somebody else may have taken them up.
 */
import { setTimeout as delay } from "node:timers/promises";
import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import type { ChangeFeed, RequestChange } from "../db/change-feed.ts";
import { claim, expireLeasesOf, renewLeases, settleExpired } from "../db/transitions.ts";
import { findDeadWorkers, registerWorker, retireWorker, touchWorker } from "../db/workers.ts";
import { type RunContext, RunningRequest } from "./running-request.ts";

export type SupervisorContext = RunContext & { readonly feed: ChangeFeed };

/** Between looks into the queue when nothing is heard. */
const idleMs = 2_000;
const heartbeatsPerLease = 3;

export class Supervisor {
  private readonly context: SupervisorContext;
  private readonly workerId = uuidv7();
  private readonly running = new Map<string, RunningRequest>();
  private readonly ending = new AbortController();
  private readonly over = new AbortController();
  private slots: Promise<void>[] = [];
  private heartbeat: Promise<void> = Promise.resolve();
  private wakeUps: (() => void)[] = [];
  private unsubscribe: (() => void) | undefined;

  constructor(context: SupervisorContext) {
    this.context = context;
  }

  /** Begins to work; what an earlier process of this machine left is taken up at once. */
  async start(): Promise<void> {
    const { db, config, feed, log } = this.context;
    await registerWorker(db, { id: this.workerId, devices: config.devices });
    const dead = await findDeadWorkers(db);
    await expireLeasesOf(db, dead);
    for (const id of dead) await retireWorker(db, id);
    await this.settle();
    this.unsubscribe = feed.onRequest((change) => this.hear(change));
    this.heartbeat = this.beat();
    this.slots = config.devices.map((device) => this.work(device));
    log.info({ worker: this.workerId, devices: config.devices }, "ready to train");
  }

  /** Takes no more requests, lets trainings write a checkpoint and go back to the queue, and waits for that. */
  async drain(): Promise<void> {
    this.ending.abort();
    this.wake();
    for (const request of this.running.values()) request.drain();
    await Promise.all(this.slots);
    this.unsubscribe?.();
    this.over.abort();
    await this.heartbeat;
    await retireWorker(this.context.db, this.workerId);
  }

  private get isEnding(): boolean {
    return this.ending.signal.aborted;
  }

  private hear(change: RequestChange | undefined): void {
    if (change === undefined || change.state === "queued") this.wake();
    if (change?.isCancelRequested !== true) return;
    for (const running of this.running.values()) {
      if (running.request.requestId === change.id) running.cancel();
    }
  }

  private wake(): void {
    for (const wakeUp of this.wakeUps.splice(0)) wakeUp();
  }

  /** One device: request after request. */
  private async work(device: string): Promise<void> {
    while (!this.isEnding) {
      try {
        if (!(await this.workOnce(device))) await this.nap();
      } catch (error) {
        this.context.log.error({ err: error, device }, "could not work; trying again");
        await this.nap();
      }
    }
  }

  /** @returns whether there was something to do */
  private async workOnce(device: string): Promise<boolean> {
    const { db, config } = this.context;
    const leaseId = uuidv4();
    const worker = { workerId: this.workerId, leaseId, leaseSeconds: config.leaseSeconds };
    const request = await claim(db, worker);
    if (request === undefined) return false;
    const running = new RunningRequest(request, device, this.context);
    this.running.set(leaseId, running);
    try {
      // Asked to end while the claim was under way.
      if (this.isEnding) running.drain();
      await running.run();
    } finally {
      this.running.delete(leaseId);
    }
    return true;
  }

  private async nap(): Promise<void> {
    if (this.isEnding) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.wakeUps.push(resolve);
      timer = setTimeout(resolve, idleMs);
    });
    clearTimeout(timer);
  }

  /** Until the last training is over: one that drains needs its lease to the end. */
  private async beat(): Promise<void> {
    const leaseMs = this.context.config.leaseSeconds * 1000;
    const { signal } = this.over;
    let fence = this.fence(leaseMs);
    while (!signal.aborted) {
      const asked = performance.now();
      try {
        await this.renew();
        clearTimeout(fence);
        fence = this.fence(leaseMs - (performance.now() - asked));
        await this.settle();
      } catch (error) {
        this.context.log.warn({ err: error }, "heartbeat: the database does not answer");
      }
      await delay(leaseMs / heartbeatsPerLease, undefined, { signal }).catch(() => {});
    }
    clearTimeout(fence);
  }

  /** Runs when no heartbeat came through for the length of a lease: somebody else may be at our requests. */
  private fence(afterMs: number): NodeJS.Timeout {
    return setTimeout(() => {
      for (const request of this.running.values()) request.abandon();
    }, afterMs);
  }

  private async renew(): Promise<void> {
    const { db, config } = this.context;
    const requests = [...this.running.values()];
    const held = await renewLeases(
      db,
      requests.map(({ request }) => request),
      config.leaseSeconds,
    );
    for (const running of requests) {
      const lease = held.get(running.request.leaseId);
      // One that ended meanwhile is no longer in the map, and has no lease to lose.
      if (lease === undefined) {
        if (this.running.has(running.request.leaseId)) running.abandon();
      } else if (lease.isCancelRequested) running.cancel();
    }
    await touchWorker(db, this.workerId);
  }

  private async settle(): Promise<void> {
    const expired = await settleExpired(this.context.db);
    if (Object.values(expired).some((ids) => ids.length > 0)) {
      this.context.log.warn(expired, "leases or deadlines ran out");
    }
  }
}
