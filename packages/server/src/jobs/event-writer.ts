/** Carries what a trainer says into the database, in small batches, in order, while it runs. */
import type { JobEvent } from "@ltx-trainer/contract";
import type { Logger } from "pino";
import type { Database } from "../db/database.ts";
import type { Lease } from "../db/requests/move.ts";
import { appendLogs, type LogEntry, recordSteps, type StepMetrics } from "../db/requests/request-logs.ts";
import type { LogLevel } from "../wire/queue.ts";

import { LogLines } from "./log-lines.ts";

/** How long news may wait for company. */
const batchMs = 200;
/** Of a batch, more of which are dropped: a trainer that its data has taken over may say anything, any number of times. */
const mostEntries = 2_000;
/** Before it is shortened for the database. */
const longestMessage = 20_000;
/** As many as a training may have. */
const mostSteps = 20_000;

export class EventWriter {
  readonly #db: Database;
  readonly #lease: Lease;
  readonly #log: Logger;
  readonly #home: string;
  readonly #lines = new LogLines();
  #entries: LogEntry[] = [];
  #steps: StepMetrics[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  /** @param home the data folder: where it lies is none of the client's business */
  constructor(db: Database, lease: Lease, log: Logger, home: string) {
    this.#home = home;
    this.#db = db;
    this.#lease = lease;
    this.#log = log;
  }

  event(event: JobEvent): void {
    if (event.type === "progress" && event.step <= mostSteps && this.#steps.length < mostEntries) {
      const { step, loss, lr, secondsPerStep, memoryBytes } = event;
      this.#steps.push({ at: new Date(), step, loss, learningRate: lr, secondsPerStep, memoryBytes });
    }
    const said = this.#lines.of(event);
    if (said !== undefined) this.say(said.level, said.message);
    this.#schedule();
  }

  say(level: LogLevel, message: string): void {
    if (this.#entries.length < mostEntries)
      this.#entries.push({
        at: new Date(),
        level,
        message: withoutFolder(message.slice(0, longestMessage), this.#home, this.#lease),
      });
    this.#schedule();
  }

  /** Writes what is left; afterwards everything said is in the database, unless the lease is gone or the database away. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => void this.flush(), batchMs);
  }

  async #write(): Promise<void> {
    const [entries, steps] = [this.#entries, this.#steps];
    [this.#entries, this.#steps] = [[], []];
    try {
      await appendLogs(this.#db, this.#lease, entries);
      await recordSteps(this.#db, this.#lease, steps);
    } catch (error) {
      this.#log.error({ err: error, request: this.#lease.requestId }, "logs of a request were lost");
    }
  }
}

/** What a trainer says may name its files: `/home/a/.ltx-trainer/requests/<id>/output/lora.safetensors`. */
function withoutFolder(message: string, home: string, { requestId }: Lease): string {
  return message.replaceAll(`${home}/requests/${requestId}/`, "").replaceAll(home, "<data folder>");
}
