/**
 * Following requests to their end: the status after each change, and of the log only what is new.
 *
 * However many follow, news are gathered for a moment and read together: one statement for all requests that changed, and
 * one for the new lines of each, shared by everybody who has seen the same lines so far.
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
  /** Those that no earlier update had; none when logs are not wanted. */
  readonly lines: readonly LogLine[];
};

export type FollowOptions = {
  readonly logs: boolean;
  /** Ends it early. */
  readonly signal: AbortSignal;
  /** After so long without news, `undefined` comes in their place. */
  readonly silenceMs: number;
};

/** How long news wait for company. */
const gatherMs = 100;
/** Between looks at the places of those that wait: they move when others do, which is not told. */
const placesMs = 2_000;
/** Between looks at everything, in case that news were lost. */
const everythingMs = 10_000;
/** After the database did not answer. */
const retryMs = 1_000;

type Follower = {
  readonly id: string;
  readonly logs: boolean;
  /** The last line of the log that it was given. */
  after: number;
  state: string;
  pending: StatusUpdate | undefined;
  /** The request does not exist any more. */
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
  #hasHeard = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(db: Database, feed: ChangeFeed) {
    this.#db = db;
    this.#unsubscribe = feed.onRequest((change) => this.#hear(change));
  }

  /** Stops listening; whoever still follows hears no more. */
  close(): void {
    this.#unsubscribe();
    this.#stopTimers();
  }

  /** The status as it is, then after every change, until the end. */
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
    this.#look(id);
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
        if (this.#hasHeard) for (const id of this.#queued) this.#look(id);
        this.#hasHeard = false;
      }, placesMs),
      setInterval(() => this.#lookAtEverything(), everythingMs),
    ];
    for (const timer of this.#timers) timer.unref();
  }

  #stopTimers(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  #hear(change: RequestChange | undefined): void {
    this.#hasHeard = true;
    if (change === undefined) this.#lookAtEverything();
    else if (this.#followers.has(change.id)) this.#look(change.id);
  }

  #lookAtEverything(): void {
    for (const id of this.#followers.keys()) this.#look(id);
  }

  #look(id: string): void {
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
        // The database is away, and every answer that needs it says so. What is followed is followed on.
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
        for (const follower of followers) endOf(follower);
        continue;
      }
      if (summary.state === "queued") this.#queued.add(id);
      else this.#queued.delete(id);
      await this.#tell(summary, followers);
    }
  }

  /** The log is read after the state: with a final state come all its lines. */
  async #tell(summary: RequestSummary, followers: readonly Follower[]): Promise<void> {
    for (const follower of followers) if (!follower.logs) give(follower, { summary, lines: [] });
    const readers = followers.filter(({ logs }) => logs);
    // The furthest first: nobody is moved to a place that is still to come.
    for (const after of [...new Set(readers.map((reader) => reader.after))].sort((a, b) => b - a)) {
      const { lines, last } = await readLogs(this.#db, summary.id, after);
      for (const reader of readers.filter((one) => one.after === after)) {
        reader.after = last;
        give(reader, { summary, lines });
      }
    }
  }
}

/** What has not been taken yet and what comes now become one. */
function give(follower: Follower, { summary, lines }: StatusUpdate): void {
  const state = `${summary.state} ${summary.queuePosition}`;
  if (state === follower.state && lines.length === 0) return;
  follower.state = state;
  // A follower that takes nothing must not make us keep everything.
  follower.pending = { summary, lines: foldLines([...(follower.pending?.lines ?? []), ...lines]) };
  follower.wake();
}

function endOf(follower: Follower): void {
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
