/**
 * The queue's wire format: states of a request, and the bodies of submit, status and cancel.
 *
 * A request has five states inside and three on the wire. A failed or cancelled request is COMPLETED too: its result is the
 * error.
 *
 * Source: fal.ai/docs/documentation/model-apis/inference/queue; clients @fal-ai/client 1.10.1, fal_client 1.0.1.
 */
import { z } from "zod";

/** States of a request. All but the first two are final. */
export const requestStates = ["queued", "running", "succeeded", "failed", "cancelled"] as const;
export type RequestState = (typeof requestStates)[number];

export function isFinal(state: RequestState): boolean {
  return state !== "queued" && state !== "running";
}

export const logLevels = ["STDERR", "STDOUT", "ERROR", "INFO", "WARN", "DEBUG"] as const;
export type LogLevel = (typeof logLevels)[number];

export const LogLine = z.object({
  message: z.string(),
  level: z.enum(logLevels),
  source: z.literal("USER"),
  /** ISO 8601, UTC. */
  timestamp: z.string(),
});
export type LogLine = z.infer<typeof LogLine>;

/** The three URLs of a request. Clients build them too and compare, so the form is fixed. */
export const RequestUrls = z.object({
  response_url: z.string(),
  status_url: z.string(),
  cancel_url: z.string(),
});
export type RequestUrls = z.infer<typeof RequestUrls>;

/**
 * Returns the URLs of a request. A sub-path of the endpoint is not part of them.
 *
 * @param base URL of the queue, without a trailing slash: `https://queue.fal.run`
 */
export function requestUrls(base: string, endpoint: string, id: string): RequestUrls {
  const response = `${base}/${endpoint}/requests/${id}`;
  return { response_url: response, status_url: `${response}/status`, cancel_url: `${response}/cancel` };
}

/** Null when the client did not ask for logs. The Python client requires the key. */
const logs = z.array(LogLine).nullable();
const request = { request_id: z.string(), ...RequestUrls.shape, logs };

const InQueue = z.object({
  status: z.literal("IN_QUEUE"),
  ...request,
  metrics: z.object({}),
  /** Requests ahead of this one. */
  queue_position: z.int().min(0),
});

const InProgress = z.object({ status: z.literal("IN_PROGRESS"), ...request, metrics: z.object({}) });

const Completed = z.object({
  status: z.literal("COMPLETED"),
  ...request,
  /** Seconds of work. 0: it never started. */
  metrics: z.object({ inference_time: z.number().min(0) }),
  /** Only on failed and cancelled requests. */
  error: z.string().optional(),
  error_type: z.string().optional(),
});

export const QueueStatus = z.discriminatedUnion("status", [InQueue, InProgress, Completed]);
export type QueueStatus = z.infer<typeof QueueStatus>;

export const CancelResponse = z.object({
  status: z.enum(["CANCELLATION_REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND"]),
});
export type CancelResponse = z.infer<typeof CancelResponse>;

/** Priority in the queue. `low` waits for every `normal`. */
export const queuePriorities = ["normal", "low"] as const;
export type QueuePriority = (typeof queuePriorities)[number];
