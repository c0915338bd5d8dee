/** Parses the headers and the query of a submission. */
import { parseLifecycle } from "../storage/lifecycle.ts";
import { type QueuePriority, queuePriorities } from "../wire/queue.ts";
import { WireError } from "../wire/wire-error.ts";

export type SubmissionOptions = {
  readonly priority: QueuePriority;
  /** Seconds until the work must have started. */
  readonly startTimeoutSeconds: number | null;
  readonly webhookUrl: string | null;
  /** Refuse the submission when more requests than this wait. */
  readonly maxQueueLength: number | null;
  /** JSON. */
  readonly lifecycle: string | null;
  readonly storesIo: boolean;
  /** Submissions with the same key are one request. */
  readonly idempotencyKey: string | null;
};

type Given = {
  readonly header: (name: string) => string | undefined;
  readonly query: (name: string) => string | undefined;
};

/**
 * @throws WireError 400 for a value that cannot be parsed
 * Source: fal.ai/docs/documentation/model-apis/common-parameters
 */
export function readSubmissionOptions({ header, query }: Given): SubmissionOptions {
  return {
    priority: priorityOf(header("x-fal-queue-priority")),
    startTimeoutSeconds: timeoutOf(header("x-fal-request-timeout")),
    webhookUrl: webhookOf(query("fal_webhook")),
    maxQueueLength: lengthOf(query("fal_max_queue_length")),
    lifecycle: lifecycleOf(header("x-fal-object-lifecycle-preference")),
    storesIo: header("x-fal-store-io") !== "0",
    idempotencyKey: idempotencyKeyOf(header("idempotency-key")),
  };
}

function priorityOf(value = "normal"): QueuePriority {
  const found = queuePriorities.find((known) => known === value.toLowerCase());
  if (found !== undefined) return found;
  throw WireError.badRequest(
    `x-fal-queue-priority: got "${value}", expected ${queuePriorities.join(" or ")}`,
  );
}

function timeoutOf(value: string | undefined): number | null {
  if (value === undefined) return null;
  const seconds = value.trim() === "" ? Number.NaN : Number(value);
  if (Number.isFinite(seconds) && seconds > 0 && seconds < 1e9) return seconds;
  throw WireError.badRequest(`x-fal-request-timeout: got "${value}", expected seconds, more than 0`);
}

function webhookOf(value: string | undefined): string | null {
  if (value === undefined) return null;
  if (/^https?:\/\//i.test(value) && URL.canParse(value)) return value;
  throw WireError.badRequest(`fal_webhook: got "${value}", expected an address with http:// or https://`);
}

function lengthOf(value: string | undefined): number | null {
  if (value === undefined) return null;
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw WireError.badRequest(`fal_max_queue_length: got "${value}", expected a whole number`);
}

function idempotencyKeyOf(value: string | undefined): string | null {
  if (value === undefined) return null;
  if (/^[\x20-\x7e]{1,255}$/.test(value)) return value;
  throw WireError.badRequest(
    `idempotency-key: got ${value.length} characters, expected 1 to 255 printable ones of ASCII`,
  );
}

function lifecycleOf(value: string | undefined): string | null {
  parseLifecycle("x-fal-object-lifecycle-preference", value);
  return value ?? null;
}
