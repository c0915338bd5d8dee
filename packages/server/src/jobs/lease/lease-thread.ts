/**
 * The thread that renews leases, with a database connection of its own: whatever holds the main thread up, a long parse or
 * a full event loop, costs no training its lease.
 *
 * Fence: when the database could not be reached for the length of a lease, another worker may own our requests, and our
 * trainers are killed. Only failed attempts count: a process that was stopped and goes on asks the database first.
 */
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { pino } from "pino";
import { openDatabase } from "../../db/database.ts";
import { forgetTrained, renewLeases, settleExpired } from "../../db/requests/leases.ts";
import type { Lease } from "../../db/requests/move.ts";
import { release } from "../../db/requests/transitions.ts";
import { touchWorker } from "../../db/workers.ts";
import type { FromLeaseThread, LeaseThreadData, ToLeaseThread } from "./lease-messages.ts";

const heartbeatsPerLease = 3;
const shortestAttemptMs = 1_000;
/** One attempt may have been cut off by a stop of the whole process, with its answer unread. */
const failuresToFence = 2;

type Held = Lease & { readonly pid?: number };

class LeaseThread {
  readonly #data: LeaseThreadData;
  readonly #leaseMs: number;
  readonly #db: ReturnType<typeof openDatabase>;
  readonly #held = new Map<string, Held>();
  /** Leases whose trainers were killed by the fence, to be given back as soon as that is possible. */
  #fenced: Lease[] = [];
  #renewedAt = performance.now();
  #failures = 0;
  #settling: Promise<void> | undefined;
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

  hear(message: ToLeaseThread): void {
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
    await this.#settling;
    await this.#db.destroy();
  }

  async #beat(): Promise<void> {
    const asked = performance.now();
    try {
      await this.#renew();
      this.#renewedAt = asked;
      if (this.#failures > 0) tell({ type: "reachable" });
      this.#failures = 0;
      // Ours first: after a stall of the whole process our own leases have run out too.
      this.#settling ??= this.#settle().finally(() => {
        this.#settling = undefined;
      });
    } catch (error) {
      if (++this.#failures === 1) tell({ type: "unreachable", reason: String(error) });
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
      else if (lease.isCancelRequested) tell({ type: "cancel", leaseId });
    }
    for (const lease of this.#fenced) await release(this.#db, lease);
    this.#fenced = [];
    await touchWorker(this.#db, this.#data.workerId);
  }

  /** Also one whose request has just ended: the main thread knows which. */
  #lose(leaseId: string): void {
    this.#held.delete(leaseId);
    tell({ type: "lost", leaseId });
  }

  async #settle(): Promise<void> {
    try {
      const expiries = await settleExpired(this.#db);
      const forgotten = await forgetTrained(this.#db, this.#data.trainedWaitHours);
      const all = { ...expiries, forgotten };
      if (Object.values(all).some((ids) => ids.length > 0)) tell({ type: "settled", expiries: all });
    } catch {
      // The next beat says whether the database is away.
    }
  }

  #fence(): void {
    if (this.#held.size === 0) return;
    for (const { pid } of this.#held.values()) {
      if (pid !== undefined) kill(pid);
    }
    this.#fenced.push(...this.#held.values());
    this.#held.clear();
    tell({ type: "fenced" });
  }
}

function tell(message: FromLeaseThread): void {
  parentPort?.postMessage(message);
}

/** A trainer leads a process group of its own. */
function kill(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

const thread = new LeaseThread(workerData as LeaseThreadData);
parentPort?.on("message", (message: ToLeaseThread) => thread.hear(message));
await thread.run();
parentPort?.close();
