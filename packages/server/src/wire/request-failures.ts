/**
 * How failures look to a client of the API: bodies, types and status codes.
 *
 * Two kinds. A *model error* is about the input or the work: `{"detail": [{loc, msg, type, ...}]}`, pydantic's form. A
 * *request error* is about the service: `{"detail": "...", "error_type": "..."}`.
 *
 * Source: fal.ai/docs/documentation/model-apis/errors.
 */

import type { ErrorCode, ErrorFacts } from "@ltx-trainer/contract";
import { mediaExtensions, shorten } from "@ltx-trainer/contract";
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

const archiveExtensions = { supported_extensions: [".zip"] };

type ModelError = {
  readonly status: number;
  readonly type: string;
  readonly field?: string;
  readonly msg: string;
  readonly ctx?: (facts: ErrorFacts) => Record<string, unknown>;
};

const download = {
  status: 422,
  type: "file_download_error",
  field: "training_data_url",
  msg: "File download error",
};
const archive = {
  status: 422,
  type: "invalid_archive",
  field: "training_data_url",
  msg: "Could not read or process the provided archive. Ensure it's a valid, non-corrupted archive.",
  ctx: () => archiveExtensions,
};
const tooLarge = {
  status: 422,
  type: "file_too_large",
  field: "training_data_url",
  msg: "File too large",
  ctx: (facts: ErrorFacts) => (typeof facts.maxBytes === "number" ? { max_size: facts.maxBytes } : {}),
};

/** What the codes of a training mean on the wire. Every other code is a failure of ours: 500, without a word on the cause. */
const modelErrors: Partial<Record<ErrorCode, ModelError>> = {
  source_not_found: download,
  source_unsupported: download,
  address_not_allowed: download,
  download_failed: download,
  not_a_zip: archive,
  zip_encrypted: archive,
  zip_damaged: archive,
  dataset_empty: archive,
  download_too_large: tooLarge,
  zip_too_large: tooLarge,
  no_usable_media: {
    status: 422,
    type: "archive_file_count_below_minimum",
    field: "training_data_url",
    msg: "Too few files in the archive. Expected at least 1 usable video or image, found 0. The logs say what became of each file.",
    ctx: () => ({ min_count: 1, provided_count: 0, supported_extensions: mediaExtensions }),
  },
  media_unreadable: { status: 422, type: "image_load_error", field: "validation", msg: "Image load error" },
  training_diverged: {
    status: 422,
    type: "value_error",
    field: "learning_rate",
    msg: "Training diverged: the loss or its gradient stopped being a finite number. Use a lower learning_rate.",
  },
  out_of_memory: {
    status: 500,
    type: "internal_server_error",
    msg: "Out of memory. Use a lower resolution or number_of_frames.",
  },
};

/** Whether a failure lies in the request's data or size. Any other is one of the server, and worth another try. */
export function isRequestsOwn(code: ErrorCode): boolean {
  return modelErrors[code] !== undefined;
}

/** The page that explains a type of error. */
export function errorPage(type: string): string {
  return `https://docs.fal.ai/errors/#${type}`;
}

type Failed = { readonly code: ErrorCode; readonly facts?: ErrorFacts | undefined };

/**
 * What a failed training is to the client. Messages are the field's standard ones: the trainer's own may name folders of
 * this machine, and stand in the log.
 */
export function trainingFailure(
  { code, facts = {} }: Failed,
  input: Readonly<Record<string, unknown>>,
): WireFailure {
  const known = modelErrors[code];
  const type = known?.type ?? "internal_server_error";
  const ctx = known?.ctx?.(facts);
  // The same things can go wrong with the data and with a validation image; the failure says where.
  const field = known?.field === undefined || typeof facts.field !== "string" ? known?.field : facts.field;
  return modelFailure(known?.status ?? 500, [
    {
      loc: field === undefined ? ["body"] : ["body", field],
      msg: known?.msg ?? "Internal server error",
      type,
      url: errorPage(type),
      ...(ctx === undefined ? {} : { ctx }),
      ...(field === undefined ? {} : { input: shorten(input[field]) }),
    },
  ]);
}
