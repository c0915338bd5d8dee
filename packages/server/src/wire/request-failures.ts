/**
 * How failures look to a client of the API: bodies, types and status codes.
 *
 * Two kinds. A *model error* is about the input or the work: `{"detail": [{loc, msg, type, ...}]}`, pydantic's form. A
 * *request error* is about the service: `{"detail": "...", "error_type": "..."}`.
 *
 * Source: fal.ai/docs/documentation/model-apis/errors.
 */

import { z } from "zod";

export const ErrorDetail = z.object({
  /** Where: `["body", "validation", 0, "prompt"]`. */
  loc: z.array(z.union([z.string(), z.number()])),
  msg: z.string(),
  type: z.string(),
  /** The page about this type. */
  url: z.string().optional(),
  ctx: z.record(z.string(), z.unknown()).optional(),
  input: z.unknown().optional(),
});
export type ErrorDetail = z.infer<typeof ErrorDetail>;

export const requestErrorTypes = [
  "request_timeout",
  "startup_timeout",
  "runner_scheduling_failure",
  "runner_connection_timeout",
  "runner_disconnected",
  "runner_connection_refused",
  "runner_connection_error",
  "runner_incomplete_response",
  "runner_server_error",
  "client_disconnected",
  "client_cancelled",
  "bad_request",
  "internal_error",
] as const;
export type RequestErrorType = (typeof requestErrorTypes)[number];

export const ModelErrorBody = z.object({ detail: z.array(ErrorDetail) });
export const RequestErrorBody = z.object({
  detail: z.string(),
  error_type: z.enum(requestErrorTypes).optional(),
});

/** An answer that is not the output: what the result of a request without a good end consists of. */
export type WireFailure = {
  readonly status: number;
  readonly body: z.infer<typeof ModelErrorBody> | z.infer<typeof RequestErrorBody>;
  readonly errorType?: RequestErrorType;
  /** Response headers beyond the usual ones, in lower case. */
  readonly headers: Readonly<Record<string, string>>;
};

/** A failure of the service itself, or of what was asked of it. */
export function requestFailure(status: number, errorType: RequestErrorType, detail: string): WireFailure {
  return {
    status,
    body: { detail, error_type: errorType },
    errorType,
    headers: { "x-fal-error-type": errorType },
  };
}

/** A failure of the input or the work. */
export function modelFailure(status: number, detail: readonly ErrorDetail[]): WireFailure {
  return {
    status,
    body: { detail: [...detail] },
    // Both names: the documentation renamed the header, and programs read either.
    headers: { "x-fal-needs-retry": "0", "x-fal-retryable": "false", "x-fal-billable-units": "0" },
  };
}

/** The client, or somebody in its name, cancelled the request. */
export const cancelledFailure: WireFailure = requestFailure(
  499,
  "client_cancelled",
  "Request cancelled by the client.",
);

/** The request did not start in the time it was given. The header keeps clients from trying again. */
export const startTimeoutFailure: WireFailure = {
  ...requestFailure(
    504,
    "request_timeout",
    "Request timed out: it did not start within the time the client gave it.",
  ),
  headers: { "x-fal-error-type": "request_timeout", "x-fal-request-timeout-type": "user" },
};

/** The machine under the request was lost twice in a row. 500, because clients repeat 502 to 504 of a result forever. */
export const lostFailure: WireFailure = requestFailure(
  500,
  "runner_disconnected",
  "The runner was lost twice without progress in between. Submit the request again.",
);

/** The page that explains a type of error. */
export function errorPage(type: string): string {
  return `https://docs.fal.ai/errors/#${type}`;
}
