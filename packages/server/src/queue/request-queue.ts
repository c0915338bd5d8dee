/** The queue as the routes use it: submit, status, stream, result, cancel. Every call is on behalf of one caller. */
import { createHash } from "node:crypto";
import { validate as isUuid, v7 as uuidv7 } from "uuid";
import type { Caller } from "../access/caller.ts";
import type { InlineFile } from "../body/read-json.ts";
import type { LimitConfig } from "../config/limits.ts";
import type { ChangeFeed } from "../db/change-feed.ts";
import type { Database } from "../db/database.ts";
import {
  findRequestByKey,
  type IdempotencyKey,
  insertRequestOnce,
  type KeyedRequest,
} from "../db/requests/idempotency.ts";
import {
  countQueued,
  countWaitingOf,
  findAnswer,
  findSummary,
  insertRequest,
  type NewRequest,
  type RequestAnswer,
  type RequestSummary,
} from "../db/requests/requests.ts";
import { cancelQueued, requestCancel } from "../db/requests/transitions.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import type { Uploads } from "../storage/uploads.ts";
import type { PublicUrl } from "../wire/public-urls.ts";
import { type CancelResponse, isFinal, type QueueStatus } from "../wire/queue.ts";
import { requestFailure } from "../wire/request-failures.ts";
import { SharedReads } from "../wire/shared-reads.ts";
import { WireError } from "../wire/wire-error.ts";
import { storeInlineFiles } from "./inline-files.ts";
import { encodeAccepted, encodeRefused } from "./stored-input.ts";
import type { SubmissionOptions } from "./submission.ts";
import { validateInput } from "./validate-input.ts";
import { SharedLogs } from "./watch/shared-logs.ts";
import { statusOf } from "./watch/status.ts";
import { StatusStreams } from "./watch/status-stream.ts";

export type Submission = {
  readonly caller: Caller;
  readonly endpoint: Endpoint;
  readonly path: string;
  readonly publicUrl: PublicUrl;
  /** JSON without its data URIs, or empty. */
  readonly text: string;
  /** The parsed text; undefined if empty. */
  readonly body: unknown;
  readonly files: readonly InlineFile[];
  readonly options: SubmissionOptions;
};

export type StatusText = { readonly isOver: boolean; readonly text: string };

type View = { readonly publicUrl: PublicUrl; readonly logs: boolean };

/** Clients poll several times per second, and several clients may poll one request. */
const summaryAgeMs = 200;
/** Interval of keep-alives on a stream. Shorter than the idle timeout of common proxies. */
const pingMs = 15_000;

export class RequestQueue {
  readonly #db: Database;
  readonly #uploads: Uploads;
  readonly #limits: LimitConfig;
  readonly #summaries: SharedReads<RequestSummary | undefined>;
  readonly #streams: StatusStreams;
  readonly #logs: SharedLogs;

  constructor(
    db: Database,
    feed: ChangeFeed,
    { uploads, limits }: { readonly uploads: Uploads; readonly limits: LimitConfig },
  ) {
    this.#db = db;
    this.#uploads = uploads;
    this.#limits = limits;
    this.#streams = new StatusStreams(db, feed);
    this.#summaries = new SharedReads({ maxAgeMs: summaryAgeMs, read: (id) => findSummary(db, id) });
    this.#logs = new SharedLogs(db);
    feed.onRequest((change) => {
      for (const shared of [this.#summaries, this.#logs]) {
        if (change === undefined) shared.clear();
        else shared.forget(change.id);
      }
    });
  }

  /** Ends the subscription to changes. */
  close(): void {
    this.#streams.close();
  }

  /**
   * Accepts a request with any input. An invalid input becomes its result.
   *
   * @returns its status; the status of the earlier request if the idempotency key was used before
   * @throws WireError 422 when the key was used with another body; 429 when the queue is longer than the caller accepts, or the
   *   caller has as many waiting requests as a user may have; 413, 507 when there is not enough space for its files
   */
  async submit(submission: Submission): Promise<QueueStatus> {
    const { caller, endpoint, path, publicUrl, options } = submission;
    const { maxQueueLength, idempotencyKey, ...rest } = options;
    const key = keyOf(submission);
    const earlier = key && (await findRequestByKey(this.#db, caller.userId, key));
    if (earlier !== undefined) return this.#statusAfterSubmit(earlier, submission);
    await this.#refuseLongQueue(endpoint.name, maxQueueLength);
    await this.#refuseBusyUser(caller.userId);
    const refusal = validateInput(endpoint, submission);
    const id = uuidv7();
    const target = { requestId: id, userId: caller.userId, publicUrl };
    const input =
      refusal === undefined
        ? encodeAccepted(await storeInlineFiles(submission, target, this.#uploads), endpoint)
        : encodeRefused(submission);
    await this.#uploads.reservations.checkQuota(caller.userId, Buffer.byteLength(input));
    const request: NewRequest = {
      ...rest,
      id,
      endpoint: endpoint.name,
      path,
      userId: caller.userId,
      keyId: caller.keyId,
      publicUrl,
      input,
      refusal,
    };
    if (key !== undefined)
      return this.#statusAfterSubmit(await insertRequestOnce(this.#db, request, key), submission);
    await insertRequest(this.#db, request);
    return this.#statusAfterSubmit({ id: request.id, isSameBody: true }, submission);
  }

  /** @throws WireError 422 when the idempotency key was used with another body */
  async #statusAfterSubmit({ id, isSameBody }: KeyedRequest, submission: Submission): Promise<QueueStatus> {
    if (!isSameBody) throw otherBody(submission.options.idempotencyKey, id);
    const summary = await findSummary(this.#db, id);
    if (summary === undefined) throw new Error(`request ${id}: not found right after it was accepted`);
    // A refused request has ended already. Clients see that when they poll.
    const isRefused = summary.state === "failed" && summary.runSeconds === 0;
    const shown = isRefused ? { ...summary, state: "queued" as const } : summary;
    return statusOf(shown, submission.publicUrl, null);
  }

  /** The status as JSON. Logs are serialized once for all concurrent polls. @throws WireError 404 */
  async status(caller: Caller, id: string, { publicUrl, logs }: View): Promise<StatusText> {
    const summary = await this.summary(caller, id);
    const isOver = isFinal(summary.state);
    const { logs: _none, ...status } = statusOf(summary, publicUrl, null);
    if (!logs) return { isOver, text: JSON.stringify({ ...status, logs: null }) };
    const isNew = summary.state === "queued" && !summary.hasStarted;
    const lines = isNew ? "[]" : (await this.#logs.get(id, isOver)).json;
    return { isOver, text: `${JSON.stringify(status).slice(0, -1)},"logs":${lines}}` };
  }

  /**
   * Yields the status now and after every change until the request ends, and undefined after a while without changes. The
   * first status has the whole log so far, later ones only new lines.
   *
   * @throws WireError 404, before the first status
   */
  async follow(
    caller: Caller,
    id: string,
    { publicUrl, logs, signal }: View & { readonly signal: AbortSignal },
  ): Promise<AsyncIterable<QueueStatus | undefined>> {
    await this.summary(caller, id);
    const updates = this.#streams.follow(id, { logs, signal, silenceMs: pingMs });
    return mapped(updates, (update) =>
      update === undefined ? undefined : statusOf(update.summary, publicUrl, logs ? update.lines : null),
    );
  }

  /**
   * Waits for the end of a request.
   *
   * @returns undefined when `signal` came first
   * @throws WireError 404
   */
  async end(caller: Caller, id: string, signal: AbortSignal): Promise<RequestAnswer | undefined> {
    await this.summary(caller, id);
    let hasEnd = false;
    for await (const update of this.#streams.follow(id, { logs: false, signal, silenceMs: pingMs })) {
      hasEnd = update !== undefined && isFinal(update.summary.state);
    }
    return signal.aborted && !hasEnd ? undefined : this.answer(caller, id);
  }

  /**
   * The answer of an ended request: its output or its error.
   *
   * @throws WireError 400 while the request has not ended, 404 when the caller has no such request
   */
  async answer(caller: Caller, id: string): Promise<RequestAnswer> {
    const answer = isUuid(id) ? await findAnswer(this.#db, id, caller.userId) : undefined;
    if (answer === undefined) throw notFound();
    if (!("status" in answer)) {
      throw WireError.of(requestFailure(400, "bad_request", "Request is still in progress"));
    }
    if (answer.isDeleted) throw new WireError(404, { detail: "The payloads of this request were deleted" });
    return answer;
  }

  /** Cancels a queued request and marks a running one. @throws WireError 400 when it has ended, 404 */
  async cancel(caller: Caller, id: string): Promise<CancelResponse> {
    await this.summary(caller, id);
    const isDone =
      (await cancelQueued(this.#db, id, caller.userId)) ||
      (await requestCancel(this.#db, id, caller.userId)) ||
      // It may have been requeued between the two statements.
      (await cancelQueued(this.#db, id, caller.userId));
    this.#summaries.forget(id);
    if (!isDone) throw alreadyCompleted();
    return { status: "CANCELLATION_REQUESTED" };
  }

  /** The row, if the caller owns it. Requests of other users answer 404. @throws WireError 404 */
  async summary(caller: Caller, id: string): Promise<RequestSummary> {
    const summary = isUuid(id) ? await this.#summaries.get(id) : undefined;
    if (summary === undefined || summary.userId !== caller.userId) throw notFound();
    return summary;
  }

  async #refuseLongQueue(endpoint: string, limit: number | null): Promise<void> {
    if (limit === null) return;
    const waiting = await countQueued(this.#db, endpoint);
    if (waiting <= limit) return;
    throw new WireError(429, {
      detail: `Queue is too long: ${waiting} requests wait, fal_max_queue_length allows ${limit}`,
      error_type: "bad_request",
    });
  }

  /** Concurrent submissions may exceed the limit. It protects the queue and is not exact. */
  async #refuseBusyUser(userId: string): Promise<void> {
    const waiting = await countWaitingOf(this.#db, userId);
    if (waiting < this.#limits.waitingPerUser) return;
    throw new WireError(429, {
      detail: `Too many requests: ${waiting} of yours wait already, expected fewer than ${this.#limits.waitingPerUser}. Wait for some to end, or cancel them.`,
      error_type: "bad_request",
    });
  }
}

async function* mapped<From, To>(source: AsyncIterable<From>, map: (value: From) => To): AsyncGenerator<To> {
  for await (const value of source) yield map(value);
}

/** The client's key with a hash of the submission as it was sent. */
function keyOf({ options, endpoint, path, text, files }: Submission): IdempotencyKey | undefined {
  if (options.idempotencyKey === null) return undefined;
  const hash = createHash("sha256").update(`${endpoint.name}/${path}\n${text}`);
  for (const { digest } of files) hash.update(`\n${digest}`);
  return { key: options.idempotencyKey, bodyHash: hash.digest() };
}

function otherBody(key: string | null, id: string): WireError {
  const message = `idempotency-key: "${key}" was used for another body, as request ${id}; expected a new key for a new request`;
  return WireError.of(requestFailure(422, "bad_request", message));
}

const notFound = () => new WireError(404, { status: "NOT_FOUND" } satisfies CancelResponse);

const alreadyCompleted = () => new WireError(400, { status: "ALREADY_COMPLETED" } satisfies CancelResponse);
