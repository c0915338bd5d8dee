/**
 * The logs of requests that clients poll several times a second, in full each time: kept for a while, so that only what is
 * new is read.
 */
import type { Database } from "../../db/database.ts";
import { foldLines, type KeptLine } from "../../db/requests/log-limits.ts";
import { type LogPage, readLogs } from "../../db/requests/request-logs.ts";
import { SharedReads } from "../../wire/shared-reads.ts";

/** News is told by `forget`; this is for news that got lost. */
const maxAgeMs = 500;
/** Then everything is read anew: lines may have been deleted, which nobody tells. */
const maxKeptMs = 10_000;
/** Lines kept, of all requests together; a log has a few hundred. */
const mostKept = 100_000;

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

  /** As JSON: made once for all who ask before there is something new. */
  get json(): string {
    this.#text ??= JSON.stringify(this.lines);
    return this.#text;
  }
}

type Kept = { readonly log: SharedLog; readonly until: number };

export class SharedLogs {
  readonly #kept = new Map<string, Kept>();
  #lineCount = 0;
  readonly #reads: SharedReads<SharedLog>;
  /** Apart from the others: what was read before the end may lack the last lines, when news of them is still on its way. */
  readonly #readsAfterEnd: SharedReads<SharedLog>;

  constructor(db: Database) {
    const read = (id: string) => this.#read(db, id);
    this.#reads = new SharedReads({ maxAgeMs, read });
    this.#readsAfterEnd = new SharedReads({ maxAgeMs, read });
  }

  /**
   * All lines so far. The same object as long as there is nothing new.
   *
   * @param isOver whether the request is known to have its end; then no line is missing
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
    const isUsable = known !== undefined && known.until > performance.now();
    const until = isUsable ? known.until : performance.now() + maxKeptMs;
    const before = isUsable ? known.log : new SharedLog({ lines: [], last: 0 });
    const added = await readLogs(db, id, before.last);
    const log =
      added.lines.length === 0
        ? before
        : new SharedLog({ lines: [...before.lines, ...added.lines], last: added.last });
    this.#keep(id, { log, until });
    return log;
  }

  #keep(id: string, kept: Kept): void {
    // A read that began earlier may end later: it knows less.
    const known = this.#kept.get(id);
    if (known !== undefined && known.until === kept.until && known.log.last > kept.log.last) return;
    this.#lineCount += kept.log.lines.length - (known?.log.lines.length ?? 0);
    if (this.#lineCount > mostKept) {
      this.#kept.clear();
      this.#lineCount = kept.log.lines.length;
    }
    this.#kept.set(id, kept);
  }
}
