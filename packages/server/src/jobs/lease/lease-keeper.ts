/** Starts the thread that renews leases, and restarts it if it dies. Runs on the main thread. */
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { Logger } from "pino";
import type { Lease } from "../../db/requests/move.ts";
import type { FromLeaseThread, LeaseThreadData, ToLeaseThread } from "./lease-messages.ts";

/** The compiled file, also when this one runs from source: a thread loads only what Node itself can run. */
const program = fileURLToPath(new URL("../../../dist/jobs/lease/lease-thread.js", import.meta.url));
const firstRestartMs = 100;
const longestRestartMs = 60_000;

export type LeaseListener = {
  /** Another worker holds the request, or the fence has killed its trainer. */
  readonly onLost: (leaseId: string) => void;
  readonly onCancel: (leaseId: string) => void;
  readonly onExpired: (expiries: Extract<FromLeaseThread, { type: "expired" }>["expiries"]) => void;
};

export class LeaseKeeper {
  readonly #data: LeaseThreadData;
  readonly #listener: LeaseListener;
  readonly #log: Logger;
  readonly #held = new Map<string, Lease & { pid?: number }>();
  #thread: Worker | undefined;
  #isStopping = false;
  #restartMs = firstRestartMs;

  constructor(data: LeaseThreadData, listener: LeaseListener, log: Logger) {
    this.#data = data;
    this.#listener = listener;
    this.#log = log;
  }

  start(): void {
    const thread = new Worker(program, { workerData: this.#data, execArgv: [] });
    this.#thread = thread;
    thread.on("message", (message: FromLeaseThread) => this.#onMessage(message));
    thread.on("error", (error) =>
      this.#log.error({ err: error }, "leases: renewal thread failed, restarting"),
    );
    thread.once("exit", () => {
      if (this.#isStopping) return;
      setTimeout(() => {
        if (!this.#isStopping) this.start();
      }, this.#restartMs);
      this.#restartMs = Math.min(2 * this.#restartMs, longestRestartMs);
    });
    for (const lease of this.#held.values()) {
      this.#post({ type: "hold", lease });
      if (lease.pid !== undefined) this.#post({ type: "process", leaseId: lease.leaseId, pid: lease.pid });
    }
  }

  /** Renews a lease until it is dropped. */
  hold(lease: Lease): void {
    const { requestId, leaseId } = lease;
    this.#held.set(leaseId, { requestId, leaseId });
    this.#post({ type: "hold", lease: { requestId, leaseId } });
  }

  /** Sets the trainer that works under a lease. */
  setProcess(leaseId: string, pid: number): void {
    const lease = this.#held.get(leaseId);
    if (lease === undefined) return;
    lease.pid = pid;
    this.#post({ type: "process", leaseId, pid });
  }

  drop(leaseId: string): void {
    this.#held.delete(leaseId);
    this.#post({ type: "drop", leaseId });
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    const thread = this.#thread;
    if (thread === undefined || thread.threadId === -1) return;
    const gone = new Promise((resolve) => thread.once("exit", resolve));
    this.#post({ type: "stop" });
    await gone;
  }

  #post(message: ToLeaseThread): void {
    this.#thread?.postMessage(message);
  }

  #onMessage(message: FromLeaseThread): void {
    switch (message.type) {
      case "lost":
        this.#lose(message.leaseId);
        break;
      case "cancel":
        this.#listener.onCancel(message.leaseId);
        break;
      case "expired":
        this.#listener.onExpired(message.expiries);
        break;
      case "fenced":
        this.#log.error("leases: database unreachable for a whole lease, trainers killed");
        for (const leaseId of [...this.#held.keys()]) this.#lose(leaseId);
        break;
      case "unreachable":
        this.#log.warn({ reason: message.reason }, "leases: database unreachable");
        break;
      case "reachable":
        this.#log.info("leases: database reachable again");
    }
  }

  #lose(leaseId: string): void {
    // A lease that was dropped meanwhile belongs to a request that has ended.
    if (this.#held.delete(leaseId)) this.#listener.onLost(leaseId);
  }
}
