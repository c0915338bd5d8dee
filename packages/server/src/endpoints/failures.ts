/**
 * From a failed job to the client's answer.
 *
 * Messages are the field's standard ones: those of the trainer may name folders of this machine, and go to the log.
 */
import { type ErrorCode, type ErrorFacts, shorten } from "@ltx-trainer/contract";
import { errorPage, modelFailure, type WireFailure } from "../wire/request-failures.ts";

/** A failure of the input or the work, in fal's terms. */
export type ModelError = {
  readonly status: number;
  readonly type: string;
  readonly field?: string;
  readonly msg: string;
  readonly ctx?: (facts: ErrorFacts) => Record<string, unknown>;
};

/** By the job's error code. A code that is not here is a failure of the server: 500, without the cause. */
export type FailureTable = Partial<Record<ErrorCode, ModelError>>;

type Failed = { readonly code: ErrorCode; readonly facts?: ErrorFacts | undefined };

/** Whether a failure is caused by the request's data or size. Any other is the server's, and is retried. */
export function isCausedByRequest(failures: FailureTable, code: ErrorCode): boolean {
  return failures[code] !== undefined;
}

/** The answer to a request whose job failed. `input` is the request's, to be quoted. */
export function failureOf(
  failures: FailureTable,
  { code, facts = {} }: Failed,
  input: Readonly<Record<string, unknown>>,
): WireFailure {
  const known = failures[code];
  const type = known?.type ?? "internal_server_error";
  const ctx = known?.ctx?.(facts);
  // The same can go wrong with the data and with a validation image; the job says where.
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
