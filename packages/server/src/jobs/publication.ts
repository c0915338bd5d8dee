/**
 * Publishing what a request has trained: as often as it takes. Nothing that fails here fails the request.
 *
 * A cancellation still counts until the answer is written: the client does not want the files, and publishing may have to
 * wait for hours.
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
/** Shorter than the day after which bytes without a row are removed from the store. */
const holdMs = 6 * 3600_000;
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
  /** The attempt under way, or the last one. */
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
    this.#stopFor("cancel");
  }

  drain(): void {
    this.#stopFor("drain");
  }

  abandon(): void {
    this.#stopFor("lost");
  }

  /** Works until the files are published, or the request is let go. Throws only when the database stays away. */
  async run(): Promise<void> {
    const started = performance.now();
    await this.#context.confinement.takeFolder(this.#folder);
    for (let attempt = 0; ; attempt++) {
      if (!(await this.#folder.holds(this.#outputs, this.#endpoint))) return this.#trainAgain();
      if (await this.#tryOnce(attempt)) return;
      if (this.#stop !== undefined) return this.#letGo(this.#stop);
      const pauseSeconds = Math.min(this.#context.config.retrySeconds * 2 ** attempt, longestPauseSeconds);
      if (performance.now() - started > holdMs) return this.#postpone(pauseSeconds);
      this.#say(
        `The LoRA is trained, but could not be stored. Publishing again in ${rounded(pauseSeconds)} s`,
      );
      await delay(pauseSeconds * 1000, undefined, { signal: this.#stopping.signal }).catch(() => {});
      if (this.#stop !== undefined) return this.#letGo(this.#stop);
    }
  }

  #stopFor(reason: Stop): void {
    this.#stop = this.#stop === "lost" ? "lost" : reason;
    this.#stopping.abort();
  }

  /** @returns whether the request has its answer, ours or another one */
  async #tryOnce(attempt: number): Promise<boolean> {
    const publishing = this.#publish();
    this.#attempt = publishing;
    // An attempt at a store that does not answer must not hold up a cancellation or the end of the server.
    const isOver = await Promise.race([publishing.catch(() => false), this.#patience()]);
    if (!isOver && this.#stop === undefined) {
      const error = await publishing.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      const level = attempt === 0 ? "error" : "warn";
      this.#log[level]({ err: error, attempt: attempt + 1 }, "publish: failed, trying again");
    }
    return isOver;
  }

  /** Ends some time after a stop: false. */
  #patience(): Promise<boolean> {
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
    this.#log.info({ units: endpoint.billableUnits(outputs), isOurs }, "training succeeded");
    return true;
  }

  async #letGo(reason: Stop): Promise<void> {
    const { db } = this.#context;
    if (reason === "cancel") {
      this.#writer.say("INFO", "Cancelled");
      await this.#writer.flush();
      await confirmCancel(db, this.request);
      await this.#folder.remove();
      this.#log.info("training cancelled");
    } else if (reason === "drain") {
      await this.#writer.flush();
      const became = await release(db, this.request);
      this.#log.info({ became }, "publish: the next server goes on");
    } else {
      this.#log.warn("publish: abandoned, the lease is gone");
    }
    await this.#cleanUp();
  }

  /** The files are gone: removed by hand, or with their disk. */
  async #trainAgain(): Promise<void> {
    this.#say("The trained files are gone. Training again");
    await this.#writer.flush();
    await this.#folder.forgetTrained();
    const became = await retrain(this.#context.db, this.request);
    this.#log.error({ became }, "publish: the trained files are gone, training again");
    await this.#cleanUp();
  }

  async #postpone(pauseSeconds: number): Promise<void> {
    this.#say("The LoRA is trained and waits to be published");
    await this.#writer.flush();
    await setBack(this.#context.db, this.request, { pauseSeconds, counts: false });
    await this.#cleanUp();
  }

  #say(message: string): void {
    this.#writer.say("WARN", message);
  }

  /**
   * When the attempt under way has ended, unless it wrote the answer after all. Of a store that is away nothing can be
   * removed: that is found as an orphan later.
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
