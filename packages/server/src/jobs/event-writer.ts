/** Writes the events of a running trainer to the database, in order and in small batches. */
import type { JobEvent } from "@ltx-trainer/contract";
import type { Logger } from "pino";
import type { Database } from "../db/database.ts";
import type { Lease } from "../db/requests/move.ts";
import { appendLogs, type LogEntry, recordSteps, type StepMetrics } from "../db/requests/request-logs.ts";
import type { LogLevel } from "../wire/queue.ts";
import { LogLines } from "./log-lines.ts";

/** How long an event may wait for its batch. */
const batchMs = 200;
/** Per batch; further ones are dropped. A trainer that hostile data has compromised may print without end. */
const mostEntries = 2_000;
/** In characters, before it is shortened further for the database. */
const longestMessage = 20_000;
/** The most steps that a training may have. */
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

  /** @param home the data folder, whose path is hidden from clients */
  constructor(db: Database, lease: Lease, log: Logger, home: string) {
    this.#home = home;
    this.#db = db;
    this.#lease = lease;
    this.#log = log;
  }

  add(event: JobEvent): void {
    if (event.type === "progress" && event.step <= mostSteps && this.#steps.length < mostEntries) {
      const { step, loss, lr, secondsPerStep, memoryBytes } = event;
      this.#steps.push({ at: new Date(), step, loss, learningRate: lr, secondsPerStep, memoryBytes });
    }
    const line = this.#lines.lineFor(event);
    if (line !== undefined) this.log(line.level, line.message);
    this.#schedule();
  }

  log(level: LogLevel, message: string): void {
    if (this.#entries.length < mostEntries)
      this.#entries.push({
        at: new Date(),
        level,
        message: withoutFolder(message.slice(0, longestMessage), this.#home, this.#lease),
      });
    this.#schedule();
  }

  /** Writes all pending events. They are dropped when the lease is lost or the database is unreachable. */
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
      this.#log.error({ err: error, request: this.#lease.requestId }, "request logs: not written");
    }
  }
}

/** Messages of a trainer may name its files: `/home/a/.ltx-trainer/requests/<id>/output/lora.safetensors`. */
function withoutFolder(message: string, home: string, { requestId }: Lease): string {
  return message.replaceAll(`${home}/requests/${requestId}/`, "").replaceAll(home, "<data folder>");
}
