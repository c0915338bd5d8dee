/**
 * The thread that renews leases, with its own database connections, so that a blocked main thread (a long parse, a busy event
 * loop) loses no lease.
 *
 * Fence: no successful renewal within one lease, so another worker may own our requests. Their trainers are killed. Only failed
 * attempts count: a process that was suspended asks the database first when it continues.
 */
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { pino } from "pino";
import { openDatabase } from "../../db/database.ts";
import { forgetTrained, renewLeases, resolveExpired } from "../../db/requests/leases.ts";
import type { Lease } from "../../db/requests/move.ts";
import { release } from "../../db/requests/transitions.ts";
import { touchWorker } from "../../db/workers.ts";
import type { FromLeaseThread, LeaseThreadData, ToLeaseThread } from "./lease-messages.ts";

const heartbeatsPerLease = 3;
const shortestAttemptMs = 1_000;
/** One attempt may have timed out while the whole process was suspended, with its answer unread. */
const failuresToFence = 2;

type Held = Lease & { readonly pid?: number };

class LeaseThread {
  readonly #data: LeaseThreadData;
  readonly #leaseMs: number;
  readonly #db: ReturnType<typeof openDatabase>;
  readonly #held = new Map<string, Held>();
  /** Leases whose trainers the fence has killed, to be released as soon as the database is reachable. */
  #fenced: Lease[] = [];
  #renewedAt = performance.now();
  #failures = 0;
  #expiring: Promise<void> | undefined;
  readonly #over = new AbortController();

  constructor(data: LeaseThreadData) {
    this.#data = data;
    this.#leaseMs = data.leaseSeconds * 1000;
    this.#db = openDatabase(data.address, {
      connections: 2,
      log: pino({ level: "silent" }),
      timeoutMs: Math.max(shortestAttemptMs, this.#leaseMs / 5),
    });
  }

  handle(message: ToLeaseThread): void {
    if (message.type === "hold") this.#held.set(message.lease.leaseId, message.lease);
    if (message.type === "drop") this.#held.delete(message.leaseId);
    if (message.type === "stop") this.#over.abort();
    if (message.type !== "process") return;
    const lease = this.#held.get(message.leaseId);
    if (lease !== undefined) this.#held.set(message.leaseId, { ...lease, pid: message.pid });
  }

  async run(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      await this.#beat();
      const pauseMs = this.#failures > 0 ? this.#leaseMs / 10 : this.#leaseMs / heartbeatsPerLease;
      await delay(pauseMs, undefined, { signal }).catch(() => {});
    }
    await this.#expiring;
    await this.#db.destroy();
  }

  async #beat(): Promise<void> {
    const asked = performance.now();
    try {
      await this.#renew();
      this.#renewedAt = asked;
      if (this.#failures > 0) post({ type: "reachable" });
      this.#failures = 0;
      // After our own renewals: a stall of the whole process lets our own leases expire too.
      this.#expiring ??= this.#expire().finally(() => {
        this.#expiring = undefined;
      });
    } catch (error) {
      if (++this.#failures === 1) post({ type: "unreachable", reason: String(error) });
      const isOverdue = performance.now() - this.#renewedAt > this.#leaseMs;
      if (this.#failures >= failuresToFence && isOverdue) this.#fence();
    }
  }

  async #renew(): Promise<void> {
    const leases = [...this.#held.values()];
    const ids = leases.map(({ leaseId }) => leaseId);
    const renewed = await renewLeases(this.#db, ids, this.#data.leaseSeconds);
    for (const { leaseId } of leases) {
      const lease = renewed.get(leaseId);
      if (lease === undefined) this.#lose(leaseId);
      else if (lease.isCancelRequested) post({ type: "cancel", leaseId });
    }
    for (const lease of this.#fenced) await release(this.#db, lease);
    this.#fenced = [];
    await touchWorker(this.#db, this.#data.workerId);
  }

  /** Also called for a request that has just ended. The main thread tells the two apart. */
  #lose(leaseId: string): void {
    this.#held.delete(leaseId);
    post({ type: "lost", leaseId });
  }

  async #expire(): Promise<void> {
    try {
      const expiries = await resolveExpired(this.#db);
      const forgotten = await forgetTrained(this.#db, this.#data.trainedWaitHours);
      const all = { ...expiries, forgotten };
      if (Object.values(all).some((ids) => ids.length > 0)) post({ type: "expired", expiries: all });
    } catch {
      // The next beat finds out whether the database is unreachable.
    }
  }

  #fence(): void {
    if (this.#held.size === 0) return;
    for (const { pid } of this.#held.values()) {
      if (pid !== undefined) kill(pid);
    }
    this.#fenced.push(...this.#held.values());
    this.#held.clear();
    post({ type: "fenced" });
  }
}

function post(message: FromLeaseThread): void {
  parentPort?.postMessage(message);
}

/** Kills a process group: every trainer leads its own. */
function kill(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has exited already.
  }
}

const thread = new LeaseThread(workerData as LeaseThreadData);
parentPort?.on("message", (message: ToLeaseThread) => thread.handle(message));
await thread.run();
parentPort?.close();
