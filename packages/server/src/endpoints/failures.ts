/**
 * Turns a failed job into the client's answer.
 *
 * Messages come from the endpoint's table. The trainer's own messages may name folders of this machine and go to the log only.
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

/** Model errors by error code of the job. Any other code is a server error: 500, without the cause. */
export type FailureTable = Partial<Record<ErrorCode, ModelError>>;

type Failed = { readonly code: ErrorCode; readonly facts?: ErrorFacts | undefined };

/** Whether the request's data or size caused the failure. Any other failure is the server's and is retried. */
export function isCausedByRequest(failures: FailureTable, code: ErrorCode): boolean {
  return failures[code] !== undefined;
}

/** The answer of a request whose job failed. It quotes fields of `input`. */
export function failureOf(
  failures: FailureTable,
  { code, facts = {} }: Failed,
  input: Readonly<Record<string, unknown>>,
): WireFailure {
  const known = failures[code];
  const type = known?.type ?? "internal_server_error";
  const ctx = known?.ctx?.(facts);
  // One code may stand for several fields, such as training data and a validation image. The job names the field.
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
