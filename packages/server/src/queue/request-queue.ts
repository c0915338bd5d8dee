/** The queue as its routes use it: submitting, looking, cancelling, for one caller at a time. */
import { type CancelResponse, type QueueStatus, requestFailure } from "@ltx-trainer/contract";
import { validate as isUuid, v7 as uuidv7 } from "uuid";
import type { Caller } from "../access/caller.ts";
import type { ChangeFeed } from "../db/change-feed.ts";
import type { Database } from "../db/database.ts";
import {
  countQueued,
  findAnswer,
  findSummary,
  insertRequest,
  type RequestAnswer,
  type RequestSummary,
} from "../db/requests.ts";
import { cancelQueued, requestCancel } from "../db/transitions.ts";
import type { PublicUrl } from "../public-urls.ts";
import { SharedLogs } from "./shared-logs.ts";
import { SharedReads } from "./shared-reads.ts";
import { statusOf } from "./status.ts";
import type { SubmissionOptions } from "./submission.ts";
import { validateInput } from "./validate-input.ts";
import { WireError } from "./wire-error.ts";

export type Submission = {
  readonly caller: Caller;
  readonly endpoint: string;
  readonly path: string;
  readonly publicUrl: PublicUrl;
  /** As it came: JSON, or nothing. */
  readonly text: string;
  /** What it says; undefined for nothing. */
  readonly body: unknown;
  readonly options: SubmissionOptions;
};

/** Clients poll several times a second, and several may poll the same request. */
const summaryAgeMs = 200;

export class RequestQueue {
  private readonly db: Database;
  private readonly summaries: SharedReads<RequestSummary | undefined>;
  private readonly logs: SharedLogs;

  constructor(db: Database, feed: ChangeFeed) {
    this.db = db;
    this.summaries = new SharedReads({ maxAgeMs: summaryAgeMs, read: (id) => findSummary(db, id) });
    this.logs = new SharedLogs(db);
    feed.onRequest((change) => {
      for (const shared of [this.summaries, this.logs]) {
        if (change === undefined) shared.clear();
        else shared.forget(change.id);
      }
    });
  }

  /**
   * Accepts a request, whatever its input: what is wrong with that is the result.
   *
   * @throws WireError 429 when the caller wants no longer queue than there is
   */
  async submit(submission: Submission): Promise<QueueStatus> {
    const { caller, endpoint, path, publicUrl, options } = submission;
    await this.refuseLongQueue(endpoint, options.maxQueueLength);
    const id = uuidv7();
    const { refusal } = validateInput(path, submission.body);
    await insertRequest(this.db, {
      id,
      endpoint,
      path,
      userId: caller.userId,
      keyId: caller.keyId,
      publicUrl,
      input: submission.text === "" ? "null" : submission.text,
      refusal,
      ...options,
    });
    const summary = await findSummary(this.db, id);
    if (summary === undefined) throw new Error(`request ${id} is not there right after it was accepted`);
    // A refused one has its end already; clients learn of it when they ask.
    const shown = refusal === undefined ? summary : { ...summary, state: "queued" as const };
    return statusOf(shown, publicUrl, null);
  }

  /** @throws WireError 404 */
  async status(
    caller: Caller,
    id: string,
    { publicUrl, logs }: { readonly publicUrl: PublicUrl; readonly logs: boolean },
  ): Promise<QueueStatus> {
    const summary = await this.summary(caller, id);
    const lines = logs && summary.state !== "queued" ? (await this.logs.get(id)).lines : [];
    return statusOf(summary, publicUrl, logs ? lines : null);
  }

  /**
   * The end of a request, good or bad.
   *
   * @throws WireError 400 while it has none, 404
   */
  async answer(caller: Caller, id: string): Promise<RequestAnswer> {
    const answer = isUuid(id) ? await findAnswer(this.db, id, caller.userId) : undefined;
    if (answer === undefined) throw notFound();
    if (!("status" in answer)) {
      throw WireError.of(requestFailure(400, "bad_request", "Request is still in progress"));
    }
    return answer;
  }

  /** Cancels a request that waits, and marks one that is worked on. @throws WireError 400 when it has its end, 404 */
  async cancel(caller: Caller, id: string): Promise<CancelResponse> {
    await this.summary(caller, id);
    const isDone =
      (await cancelQueued(this.db, id, caller.userId)) ||
      (await requestCancel(this.db, id, caller.userId)) ||
      // It may have gone back to the queue between the two.
      (await cancelQueued(this.db, id, caller.userId));
    this.summaries.forget(id);
    if (!isDone) throw alreadyCompleted();
    return { status: "CANCELLATION_REQUESTED" };
  }

  /** The row, if the caller may see it. Ids of others answer as if they did not exist. @throws WireError 404 */
  async summary(caller: Caller, id: string): Promise<RequestSummary> {
    const summary = isUuid(id) ? await this.summaries.get(id) : undefined;
    if (summary === undefined || summary.userId !== caller.userId) throw notFound();
    return summary;
  }

  private async refuseLongQueue(endpoint: string, limit: number | null): Promise<void> {
    if (limit === null) return;
    const waiting = await countQueued(this.db, endpoint);
    if (waiting <= limit) return;
    throw new WireError(429, {
      detail: `Queue is too long: ${waiting} requests wait, fal_max_queue_length allows ${limit}`,
      error_type: "bad_request",
    });
  }
}

const notFound = () => new WireError(404, { status: "NOT_FOUND" } satisfies CancelResponse);

const alreadyCompleted = () => new WireError(400, { status: "ALREADY_COMPLETED" } satisfies CancelResponse);
