/**
 * Streams the status of requests to their end: the status after each change, with new log lines only.
 *
 * Changes are batched. One statement reads all changed requests, and one per request reads the new lines for all followers that
 * are at the same line.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ChangeFeed, RequestChange } from "../../db/change-feed.ts";
import type { Database } from "../../db/database.ts";
import { foldLines } from "../../db/requests/log-limits.ts";
import { readLogs } from "../../db/requests/request-logs.ts";
import { findSummaries, type RequestSummary } from "../../db/requests/requests.ts";
import { isFinal, type LogLine } from "../../wire/queue.ts";

export type StatusUpdate = {
  readonly summary: RequestSummary;
  /** New lines since the last update; empty without `logs`. */
  readonly lines: readonly LogLine[];
};

export type FollowOptions = {
  readonly logs: boolean;
  /** Ends the stream early. */
  readonly signal: AbortSignal;
  /** `undefined` is yielded after so long without a change. */
  readonly silenceMs: number;
};

/** How long a change waits for its batch. */
const gatherMs = 100;
/** Interval of reading queue positions, which change without a notification when other requests move. */
const placesMs = 2_000;
/** Interval of reading everything, in case a notification was lost. */
const everythingMs = 10_000;
/** Pause after a database error. */
const retryMs = 1_000;

type Follower = {
  readonly id: string;
  readonly logs: boolean;
  /** Sequence of the last log line that it got. */
  after: number;
  state: string;
  pending: StatusUpdate | undefined;
  /** The request was deleted. */
  isGone: boolean;
  wake: () => void;
};

export class StatusStreams {
  readonly #db: Database;
  readonly #followers = new Map<string, Set<Follower>>();
  readonly #queued = new Set<string>();
  readonly #changed = new Set<string>();
  readonly #unsubscribe: () => void;
  #reading: Promise<void> | undefined;
  #hasChanged = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(db: Database, feed: ChangeFeed) {
    this.#db = db;
    this.#unsubscribe = feed.onRequest((change) => this.#onChange(change));
  }

  /** Ends the subscription to changes. Streams that are still open get no further updates. */
  close(): void {
    this.#unsubscribe();
    this.#stopTimers();
  }

  /** Yields the current status, then the status after every change, until the request ends. */
  async *follow(id: string, options: FollowOptions): AsyncGenerator<StatusUpdate | undefined, void, void> {
    const follower = this.#add(id, options.logs);
    try {
      for (;;) {
        const update = await nextUpdate(follower, options);
        if (options.signal.aborted || follower.isGone) return;
        yield update;
        if (update !== undefined && isFinal(update.summary.state)) return;
      }
    } finally {
      this.#remove(follower);
    }
  }

  #add(id: string, logs: boolean): Follower {
    const follower: Follower = {
      id,
      logs,
      after: 0,
      state: "",
      pending: undefined,
      isGone: false,
      wake: () => {},
    };
    if (this.#followers.size === 0) this.#startTimers();
    const others = this.#followers.get(id) ?? new Set();
    this.#followers.set(id, others.add(follower));
    this.#schedule(id);
    return follower;
  }

  #remove(follower: Follower): void {
    const others = this.#followers.get(follower.id);
    others?.delete(follower);
    if (others?.size !== 0) return;
    this.#followers.delete(follower.id);
    this.#queued.delete(follower.id);
    if (this.#followers.size === 0) this.#stopTimers();
  }

  #startTimers(): void {
    this.#timers = [
      setInterval(() => {
        if (this.#hasChanged) for (const id of this.#queued) this.#schedule(id);
        this.#hasChanged = false;
      }, placesMs),
      setInterval(() => this.#scheduleAll(), everythingMs),
    ];
    for (const timer of this.#timers) timer.unref();
  }

  #stopTimers(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  #onChange(change: RequestChange | undefined): void {
    this.#hasChanged = true;
    if (change === undefined) this.#scheduleAll();
    else if (this.#followers.has(change.id)) this.#schedule(change.id);
  }

  #scheduleAll(): void {
    for (const id of this.#followers.keys()) this.#schedule(id);
  }

  #schedule(id: string): void {
    this.#changed.add(id);
    this.#reading ??= this.#readChanged();
  }

  async #readChanged(): Promise<void> {
    while (this.#changed.size > 0) {
      await delay(gatherMs);
      const ids = [...this.#changed].filter((id) => this.#followers.has(id));
      this.#changed.clear();
      try {
        await this.#read(ids);
      } catch {
        // The database is unreachable. Other calls report that; streams wait and read again.
        for (const id of ids) this.#changed.add(id);
        await delay(retryMs);
      }
    }
    this.#reading = undefined;
  }

  async #read(ids: readonly string[]): Promise<void> {
    const summaries = new Map((await findSummaries(this.#db, ids)).map((summary) => [summary.id, summary]));
    for (const id of ids) {
      const summary = summaries.get(id);
      const followers = [...(this.#followers.get(id) ?? [])];
      if (summary === undefined) {
        for (const follower of followers) end(follower);
        continue;
      }
      if (summary.state === "queued") this.#queued.add(id);
      else this.#queued.delete(id);
      await this.#deliver(summary, followers);
    }
  }

  /** Reads the log after the state, so that a final state comes with all lines. */
  async #deliver(summary: RequestSummary, followers: readonly Follower[]): Promise<void> {
    for (const follower of followers) if (!follower.logs) enqueue(follower, { summary, lines: [] });
    const readers = followers.filter(({ logs }) => logs);
    // In descending order: a follower that this loop moves forward is not read for again.
    for (const after of [...new Set(readers.map((reader) => reader.after))].sort((a, b) => b - a)) {
      const { lines, last } = await readLogs(this.#db, summary.id, after);
      for (const reader of readers.filter((one) => one.after === after)) {
        reader.after = last;
        enqueue(reader, { summary, lines });
      }
    }
  }
}

/** Merges the update with the one that the follower has not taken yet. */
function enqueue(follower: Follower, { summary, lines }: StatusUpdate): void {
  const state = `${summary.state} ${summary.queuePosition}`;
  if (state === follower.state && lines.length === 0) return;
  follower.state = state;
  // Folded, so that memory stays bounded when a follower does not read.
  follower.pending = { summary, lines: foldLines([...(follower.pending?.lines ?? []), ...lines]) };
  follower.wake();
}

function end(follower: Follower): void {
  follower.isGone = true;
  follower.wake();
}

async function nextUpdate(
  follower: Follower,
  { signal, silenceMs }: FollowOptions,
): Promise<StatusUpdate | undefined> {
  if (follower.pending === undefined && !follower.isGone && !signal.aborted) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, silenceMs);
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      signal.addEventListener("abort", wake, { once: true });
      follower.wake = wake;
    });
  }
  const update = follower.pending;
  follower.pending = undefined;
  return update;
}
