/**
 * Publishes the outputs of a request and retries until it succeeds. No error here fails the request.
 *
 * A request can be cancelled until its answer is written, because publishing may have to wait for hours.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { NewFile } from "../db/files/files.ts";
import type { ClaimedRequest } from "../db/requests/leases.ts";
import { confirmCancel, release, retrain, setBack, succeed } from "../db/requests/transitions.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import { type Outputs, RequestFolder } from "./confine/request-folder.ts";
import { EventWriter } from "./event-writer.ts";
import { publishOutputs } from "./publish.ts";
import type { RunContext, Stop, WorkOnRequest } from "./work-on-request.ts";

const longestPauseSeconds = 60;
/** Then the lease is released. Shorter than the day after which retention removes files without a row. */
const longestHoldMs = 6 * 3600_000;
const cleanUpMs = 1_000;

export class Publication implements WorkOnRequest {
  readonly request: ClaimedRequest;
  readonly #outputs: Outputs;
  readonly #context: RunContext;
  readonly #endpoint: Endpoint;
  readonly #log: Logger;
  readonly #folder: RequestFolder;
  readonly #writer: EventWriter;
  readonly #stored = new Map<string, NewFile>();
  readonly #stopping = new AbortController();
  #stop: Stop | undefined;
  /** The current attempt, or the last one. */
  #attempt: Promise<boolean> = Promise.resolve(false);

  constructor(request: ClaimedRequest, outputs: Outputs, context: RunContext) {
    this.request = request;
    this.#outputs = outputs;
    this.#context = context;
    this.#endpoint = context.endpoints.get(request.endpoint);
    this.#log = context.log.child({ request: request.requestId });
    this.#folder = new RequestFolder(context.config.home, request.requestId);
    this.#writer = new EventWriter(context.db, request, this.#log, context.config.home);
  }

  cancel(): void {
    this.#requestStop("cancel");
  }

  drain(): void {
    this.#requestStop("drain");
  }

  abandon(): void {
    this.#requestStop("lost");
  }

  /** Publishes, or releases the request. Throws only when the database stays unreachable. */
  async run(): Promise<void> {
    const started = performance.now();
    await this.#context.confinement.reclaimFolder(this.#folder);
    for (let attempt = 0; ; attempt++) {
      if (!(await this.#folder.holds(this.#outputs, this.#endpoint))) return this.#trainAgain();
      if (await this.#tryOnce(attempt)) return;
      if (this.#stop !== undefined) return this.#release(this.#stop);
      const pauseSeconds = Math.min(this.#context.config.retrySeconds * 2 ** attempt, longestPauseSeconds);
      if (performance.now() - started > longestHoldMs) return this.#postpone(pauseSeconds);
      this.#logWarning(
        `The LoRA is trained, but could not be stored. Publishing again in ${rounded(pauseSeconds)} s`,
      );
      await delay(pauseSeconds * 1000, undefined, { signal: this.#stopping.signal }).catch(() => {});
      if (this.#stop !== undefined) return this.#release(this.#stop);
    }
  }

  #requestStop(reason: Stop): void {
    this.#stop = this.#stop === "lost" ? "lost" : reason;
    this.#stopping.abort();
  }

  /** @returns whether the request has its answer, from this attempt or another worker */
  async #tryOnce(attempt: number): Promise<boolean> {
    const publishing = this.#publish();
    this.#attempt = publishing;
    // A store that does not respond must not delay a cancellation or the end of the server.
    const isOver = await Promise.race([publishing.catch(() => false), this.#graceAfterStop()]);
    if (!isOver && this.#stop === undefined) {
      const error = await publishing.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      const level = attempt === 0 ? "error" : "warn";
      this.#log[level]({ err: error, attempt: attempt + 1 }, "publish: failed, retrying");
    }
    return isOver;
  }

  /** Resolves to false after the time that a stop leaves for the current attempt. */
  #graceAfterStop(): Promise<boolean> {
    const { signal } = this.#stopping;
    return new Promise((resolve) => {
      const onStop = () => {
        const waitMs = this.#stop === "drain" ? this.#context.config.drainSeconds * 1000 : 0;
        setTimeout(() => resolve(false), waitMs).unref();
      };
      if (signal.aborted) onStop();
      else signal.addEventListener("abort", onStop, { once: true });
    });
  }

  async #publish(): Promise<boolean> {
    const { db, store, signer } = this.#context;
    const endpoint = this.#endpoint;
    const request = this.request;
    const outputs = this.#outputs;
    const stored = this.#stored;
    await this.#writer.flush();
    const success = await publishOutputs(outputs, request, { endpoint, store, signer, stored });
    const isOurs = await succeed(db, request, success);
    if (isOurs) await this.#folder.removeIntermediates().catch(() => {});
    else await this.#removeStored();
    this.#log.info({ units: endpoint.billableUnits(outputs), isOurs }, "training: succeeded");
    return true;
  }

  async #release(reason: Stop): Promise<void> {
    const { db } = this.#context;
    if (reason === "cancel") {
      this.#writer.log("INFO", "Cancelled");
      await this.#writer.flush();
      await confirmCancel(db, this.request);
      await this.#folder.remove();
      this.#log.info("training: cancelled");
    } else if (reason === "drain") {
      await this.#writer.flush();
      const became = await release(db, this.request);
      this.#log.info({ became }, "publish: requeued");
    } else {
      this.#log.warn("publish: abandoned, lease lost");
    }
    await this.#cleanUp();
  }

  /** The files are missing: deleted by hand, or lost with their disk. */
  async #trainAgain(): Promise<void> {
    this.#logWarning("The trained files are gone. Training again");
    await this.#writer.flush();
    await this.#folder.forgetTrained();
    const became = await retrain(this.#context.db, this.request);
    this.#log.error({ became }, "publish: trained files missing, training again");
    await this.#cleanUp();
  }

  async #postpone(pauseSeconds: number): Promise<void> {
    this.#logWarning("The LoRA is trained and waits to be published");
    await this.#writer.flush();
    await setBack(this.#context.db, this.request, { pauseSeconds, counts: false });
    await this.#cleanUp();
  }

  #logWarning(message: string): void {
    this.#writer.log("WARN", message);
  }

  /**
   * Deletes the stored files after the current attempt, unless that attempt wrote the answer. Files that cannot be deleted
   * are removed by retention later.
   */
  async #cleanUp(): Promise<void> {
    const cleaning = this.#attempt
      .catch(() => false)
      .then((hasAnswer) => (hasAnswer ? undefined : this.#removeStored()));
    await Promise.race([cleaning, delay(cleanUpMs, undefined, { ref: false })]);
  }

  async #removeStored(): Promise<void> {
    for (const { id } of this.#stored.values()) await this.#context.store.remove(id).catch(() => {});
    this.#stored.clear();
  }
}

function rounded(seconds: number): number {
  return Math.max(1, Math.round(seconds));
}
