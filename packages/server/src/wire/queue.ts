/**
 * The queue's wire format: states of a request, and the bodies of submit, status and cancel.
 *
 * Inside, a request is in one of five states; on the wire there are three words, and a request that failed or was cancelled
 * is COMPLETED too: the result says how.
 *
 * Source: fal.ai/docs/documentation/model-apis/inference/queue; clients @fal-ai/client 1.10.1, fal_client 1.0.1.
 */
import { z } from "zod";

/** Where a request is. The first two are on the way, the others final. */
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

/** The three addresses of a request. Clients build them by themselves and compare: no other form will do. */
export const RequestUrls = z.object({
  response_url: z.string(),
  status_url: z.string(),
  cancel_url: z.string(),
});
export type RequestUrls = z.infer<typeof RequestUrls>;

/**
 * The addresses of a request. A sub-path of the endpoint takes no part.
 *
 * @param base the queue's own address, without a slash at the end: `https://queue.fal.run`
 */
export function requestUrls(base: string, endpoint: string, id: string): RequestUrls {
  const response = `${base}/${endpoint}/requests/${id}`;
  return { response_url: response, status_url: `${response}/status`, cancel_url: `${response}/cancel` };
}

/** Null when logs were not asked for; the Python client insists on the key. */
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
  /** Seconds of work; 0 when it never started. */
  metrics: z.object({ inference_time: z.number().min(0) }),
  /** Only of a request without a good end. */
  error: z.string().optional(),
  error_type: z.string().optional(),
});

export const QueueStatus = z.discriminatedUnion("status", [InQueue, InProgress, Completed]);
export type QueueStatus = z.infer<typeof QueueStatus>;

export const CancelResponse = z.object({
  status: z.enum(["CANCELLATION_REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND"]),
});
export type CancelResponse = z.infer<typeof CancelResponse>;

/** What a client may wish for the order of the queue. `low` waits behind every `normal`. */
export const queuePriorities = ["normal", "low"] as const;
export type QueuePriority = (typeof queuePriorities)[number];
