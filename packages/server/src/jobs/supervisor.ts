/**
 * Claims requests, runs one at a time per device, and publishes their outputs, under leases that `LeaseKeeper` renews.
 *
 * The database decides which worker gets which request.
 */
import { setTimeout as delay } from "node:timers/promises";
import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import type { ChangeFeed, RequestChange } from "../db/change-feed.ts";
import type { DatabaseAddress } from "../db/database.ts";
import {
  type ClaimedRequest,
  claim,
  claimTrained,
  expireLeasesOf,
  resolveExpired,
} from "../db/requests/leases.ts";
import { findDeadWorkers, isDeviceTaken, registerWorker, retireWorker } from "../db/workers.ts";
import { type Outputs, RequestFolder } from "./confine/request-folder.ts";
import { DeviceGuard } from "./device/device-guard.ts";
import type { ServiceHealth } from "./device/health.ts";
import { probe } from "./device/probe.ts";
import { LeaseKeeper } from "./lease/lease-keeper.ts";
import type { FromLeaseThread } from "./lease/lease-messages.ts";
import { Publication } from "./publication.ts";
import { RunningRequest } from "./running-request.ts";
import type { RunContext, WorkOnRequest } from "./work-on-request.ts";

export type SupervisorContext = RunContext & {
  readonly feed: ChangeFeed;
  readonly address: DatabaseAddress;
  readonly health: ServiceHealth;
};

/** Interval of polling the queue, in case a notification is lost. */
const idleMs = 2_000;
/** More would share the same connection to the store. */
const publicationsAtOnce = 4;

type Expiries = Extract<FromLeaseThread, { type: "expired" }>["expiries"];

export class Supervisor {
  readonly #context: SupervisorContext;
  readonly #workerId = uuidv7();
  readonly #keeper: LeaseKeeper;
  readonly #work = new Map<string, WorkOnRequest>();
  readonly #publications = new Set<Promise<void>>();
  readonly #ending = new AbortController();
  #loops: Promise<void>[] = [];
  #wakeUps: (() => void)[] = [];
  #unsubscribe: (() => void) | undefined;

  constructor(context: SupervisorContext) {
    this.#context = context;
    const { address, config, log } = context;
    const { leaseSeconds, trainedWaitHours } = config;
    this.#keeper = new LeaseKeeper(
      { address, workerId: this.#workerId, leaseSeconds, trainedWaitHours },
      {
        onLost: (leaseId) => this.#work.get(leaseId)?.abandon(),
        onCancel: (leaseId) => this.#work.get(leaseId)?.cancel(),
        onExpired: (expiries) => this.#onExpired(expiries),
      },
      log,
    );
  }

  /** Starts to work. Requests that a dead process of this machine left are requeued at once. */
  async start(): Promise<void> {
    const { db, config, feed, log, homeId } = this.#context;
    await registerWorker(db, { id: this.#workerId, devices: config.devices, home: homeId });
    const dead = await findDeadWorkers(db);
    await expireLeasesOf(db, dead);
    for (const id of dead) await retireWorker(db, id);
    const expiries = await resolveExpired(db);
    if (Object.values(expiries).some((ids) => ids.length > 0)) {
      this.#onExpired({ ...expiries, forgotten: [] });
    }
    this.#unsubscribe = feed.onRequest((change) => this.#onChange(change));
    this.#keeper.start();
    this.#loops = config.devices.map((device, place) => this.#trainOn(device, place));
    this.#loops.push(this.#publishTrained());
    log.info({ worker: this.#workerId, devices: config.devices }, "worker: ready");
  }

  /** Claims nothing more, lets trainings write a checkpoint, requeues them, and returns when that is done. */
  async drain(): Promise<void> {
    this.#ending.abort();
    this.#wake();
    for (const work of this.#work.values()) work.drain();
    await Promise.all(this.#loops);
    await Promise.all(this.#publications);
    this.#unsubscribe?.();
    await this.#keeper.stop();
    await retireWorker(this.#context.db, this.#workerId);
  }

  get #isEnding(): boolean {
    return this.#ending.signal.aborted;
  }

  #onChange(change: RequestChange | undefined): void {
    if (change === undefined || change.state === "queued") this.#wake();
    if (change?.isCancelRequested !== true) return;
    for (const work of this.#work.values()) {
      if (work.request.requestId === change.id) work.cancel();
    }
  }

  #onExpired(expiries: Expiries): void {
    this.#context.log.warn(expiries, "leases: expired");
    for (const id of expiries.failed) {
      const folder = new RequestFolder(this.#context.config.home, id);
      folder.removeIntermediates().catch((error: unknown) => {
        this.#context.log.warn({ err: error, request: id }, "request folder: intermediate files not removed");
      });
    }
  }

  #wake(): void {
    for (const wakeUp of this.#wakeUps.splice(0)) wakeUp();
  }

  /** Loop of one device: one request after the other. */
  async #trainOn(device: string, place: number): Promise<void> {
    const guard = this.#guardOf(device, place);
    let wasTaken = false;
    await this.#repeat({ device }, async () => {
      if (guard.isBroken) {
        await this.#pause(guard.nextPauseMs());
        if (!this.#isEnding) await guard.recover();
        return true;
      }
      const isTaken = await this.#isTaken(device);
      if (isTaken && !wasTaken) {
        this.#context.log.warn({ device }, "device: in use by another server on this machine, waiting");
      }
      wasTaken = isTaken;
      return !isTaken && (await this.#trainOnce(device, guard));
    });
  }

  /** Publishes outputs whose worker stopped before it could publish them. */
  async #publishTrained(): Promise<void> {
    await this.#repeat({}, async () => {
      if (this.#publications.size >= publicationsAtOnce) return false;
      const request = await claimTrained(this.#context.db, this.#claimer(), this.#context.homeId);
      if (request === undefined) return false;
      // `Publication` checks them: those that an earlier version wrote may not fit the endpoint of today.
      this.#publish(request, JSON.parse(request.trainedOutputs ?? "{}") as Outputs);
      return true;
    });
  }

  /** @param once one iteration; returns whether there was something to do */
  async #repeat(fields: Readonly<Record<string, unknown>>, once: () => Promise<boolean>): Promise<void> {
    while (!this.#isEnding) {
      try {
        if (!(await once())) await this.#nap();
      } catch (error) {
        this.#context.log.error({ err: error, ...fields }, "worker: failed, retrying");
        await this.#nap();
      }
    }
  }

  async #trainOnce(device: string, guard: DeviceGuard): Promise<boolean> {
    const request = await claim(this.#context.db, this.#claimer());
    if (request === undefined) return false;
    const onProcess = (pid: number) => this.#keeper.setProcess(request.leaseId, pid);
    const running = new RunningRequest(request, { ...this.#context, device, guard, onProcess });
    let outputs: Outputs | undefined;
    this.#begin(running);
    try {
      outputs = await running.run();
    } finally {
      if (outputs === undefined) this.#end(request);
    }
    // Not awaited: the device is free, and publishing may take long.
    if (outputs !== undefined) this.#publish(request, outputs);
    return true;
  }

  #publish(request: ClaimedRequest, outputs: Outputs): void {
    const publication = new Publication(request, outputs, this.#context);
    this.#begin(publication);
    const running = publication
      .run()
      .catch((error: unknown) =>
        this.#context.log.error(
          { err: error, request: request.requestId },
          "publish: failed, retrying later",
        ),
      )
      .finally(() => {
        this.#end(request);
        this.#publications.delete(running);
      });
    this.#publications.add(running);
  }

  #begin(work: WorkOnRequest): void {
    this.#work.set(work.request.leaseId, work);
    this.#keeper.hold(work.request);
    // `drain` was called while the claim was running.
    if (this.#isEnding) work.drain();
  }

  #end({ leaseId }: ClaimedRequest): void {
    this.#work.delete(leaseId);
    this.#keeper.drop(leaseId);
  }

  #claimer() {
    const { leaseSeconds, limits } = this.#context.config;
    const { runningPerUser } = limits;
    const endpoints = this.#context.endpoints.names;
    return { workerId: this.#workerId, leaseId: uuidv4(), leaseSeconds, runningPerUser, endpoints };
  }

  #isTaken(device: string): Promise<boolean> {
    const { db, config } = this.#context;
    return isDeviceTaken(db, { id: this.#workerId, device, leaseSeconds: config.leaseSeconds });
  }

  #guardOf(device: string, place: number): DeviceGuard {
    const { config, store, log, health, confinement } = this.#context;
    return new DeviceGuard({
      device,
      log,
      firstPauseMs: config.retrySeconds * 1000,
      probe: () => probe(device, { config, store, confinement }),
      onChange: (fault) => health.mark(place, fault),
    });
  }

  /** Returns on the next change of the queue, or after `idleMs`. */
  async #nap(): Promise<void> {
    if (this.#isEnding) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wakeUps.push(resolve);
      timer = setTimeout(resolve, idleMs);
    });
    clearTimeout(timer);
  }

  /** Returns after `ms`, or when the server stops. */
  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#ending.signal }).catch(() => {});
  }
}
