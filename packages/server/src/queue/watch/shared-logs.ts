/**
 * Caches the logs of requests, which clients poll in full several times per second, so that only new lines are read.
 */
import { LRUCache } from "lru-cache";
import type { Database } from "../../db/database.ts";
import { foldLines, type KeptLine } from "../../db/requests/log-limits.ts";
import { type LogPage, readLogs } from "../../db/requests/request-logs.ts";
import { SharedReads } from "../../wire/shared-reads.ts";

/** `forget` announces new lines. This bound is for announcements that got lost. */
const maxAgeMs = 500;
/** Then the whole log is read again: lines may have been deleted, which is not announced. */
const maxKeptMs = 10_000;
/** Lines kept for all requests together. A log has a few hundred. */
const mostKeptLines = 100_000;

/** The log of a request so far. */
export class SharedLog {
  readonly lines: readonly KeptLine[];
  /** Where it ends. */
  readonly last: number;
  #text: string | undefined;

  constructor({ lines, last }: LogPage) {
    this.lines = foldLines(lines);
    this.last = last;
  }

  /** As JSON. Serialized once until there are new lines. */
  get json(): string {
    this.#text ??= JSON.stringify(this.lines);
    return this.#text;
  }
}

const emptyLog = new SharedLog({ lines: [], last: 0 });

export class SharedLogs {
  readonly #kept = new LRUCache<string, SharedLog>({
    maxSize: mostKeptLines,
    sizeCalculation: ({ lines }) => lines.length + 1,
    ttl: maxKeptMs,
    ttlResolution: 0,
    // Age counts from the last complete read.
    noUpdateTTL: true,
  });
  readonly #reads: SharedReads<SharedLog>;
  /** Separate from `#reads`: a read from before the end may lack the last lines if their notification is still on its way. */
  readonly #readsAfterEnd: SharedReads<SharedLog>;

  constructor(db: Database) {
    const read = (id: string) => this.#read(db, id);
    this.#reads = new SharedReads({ maxAgeMs, read });
    this.#readsAfterEnd = new SharedReads({ maxAgeMs, read });
  }

  /**
   * All lines so far. The same object until there are new lines.
   *
   * @param isOver whether the request is known to have ended; then no line is missing
   */
  get(requestId: string, isOver = false): Promise<SharedLog> {
    return (isOver ? this.#readsAfterEnd : this.#reads).get(requestId);
  }

  /** There are new lines. */
  forget(requestId: string): void {
    this.#reads.forget(requestId);
    this.#readsAfterEnd.forget(requestId);
  }

  clear(): void {
    this.#reads.clear();
    this.#readsAfterEnd.clear();
  }

  async #read(db: Database, id: string): Promise<SharedLog> {
    const known = this.#kept.get(id);
    const before = known ?? emptyLog;
    const added = await readLogs(db, id, before.last);
    const log =
      added.lines.length === 0
        ? before
        : new SharedLog({ lines: [...before.lines, ...added.lines], last: added.last });
    // Reads overlap. One that ended in the meantime may know more, so its log stays.
    if (this.#kept.peek(id) === known) this.#kept.set(id, log);
    return log;
  }
}
