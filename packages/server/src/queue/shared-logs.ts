/**
 * The logs of requests that clients poll several times a second, in full each time: kept for a while, so that only what is
 * new is read.
 */
import type { Database } from "../db/database.ts";
import { type LogPage, readLogs } from "../db/request-logs.ts";
import { SharedReads } from "./shared-reads.ts";

/** News is told by `forget`; this is for news that got lost. */
const maxAgeMs = 500;
/** Then everything is read anew: lines may have been deleted, which nobody tells. */
const maxKeptMs = 10_000;
/** Requests kept; logs have a few hundred lines. */
const mostKept = 200;

type Kept = { readonly page: LogPage; readonly until: number };

export class SharedLogs {
  private readonly kept = new Map<string, Kept>();
  private readonly reads: SharedReads<LogPage>;
  /** Apart from the others: what was read before the end may lack the last lines, when news of them is still on its way. */
  private readonly readsAfterEnd: SharedReads<LogPage>;

  constructor(db: Database) {
    const read = (id: string) => this.read(db, id);
    this.reads = new SharedReads({ maxAgeMs, read });
    this.readsAfterEnd = new SharedReads({ maxAgeMs, read });
  }

  /**
   * All lines so far. The same object as long as there is nothing new.
   *
   * @param isOver whether the request is known to have its end; then no line is missing
   */
  get(requestId: string, isOver = false): Promise<LogPage> {
    return (isOver ? this.readsAfterEnd : this.reads).get(requestId);
  }

  /** There are new lines. */
  forget(requestId: string): void {
    this.reads.forget(requestId);
    this.readsAfterEnd.forget(requestId);
  }

  clear(): void {
    this.reads.clear();
    this.readsAfterEnd.clear();
  }

  private async read(db: Database, id: string): Promise<LogPage> {
    const known = this.kept.get(id);
    const isUsable = known !== undefined && known.until > performance.now();
    const until = isUsable ? known.until : performance.now() + maxKeptMs;
    const before: LogPage = isUsable ? known.page : { lines: [], last: 0 };
    const added = await readLogs(db, id, before.last);
    const page =
      added.lines.length === 0 ? before : { lines: [...before.lines, ...added.lines], last: added.last };
    this.keep(id, { page, until });
    return page;
  }

  private keep(id: string, kept: Kept): void {
    // A read that began earlier may end later: it knows less.
    const known = this.kept.get(id);
    if (known !== undefined && known.until === kept.until && known.page.last > kept.page.last) return;
    if (known === undefined && this.kept.size >= mostKept) this.kept.clear();
    this.kept.set(id, kept);
  }
}
