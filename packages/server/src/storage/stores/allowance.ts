/** Responses to uploads above a limit. */
import { requestFailure } from "../../wire/request-failures.ts";
import { WireError } from "../../wire/wire-error.ts";
import type { Allowance } from "./file-store.ts";

/** No limit, for our own bytes. */
export const unlimited: Allowance = { bytes: Number.POSITIVE_INFINITY, refusal: tooLarge(0) };

export type Refusal = (bytes: number) => WireError;

export function tooLarge(limit: number): Refusal {
  return (bytes) => refused(413, `File too large: got ${bytes} bytes or more, expected at most ${limit}`);
}

export function overQuota(quota: number, left: number): Refusal {
  return (bytes) =>
    refused(
      413,
      `Storage quota exceeded: got ${bytes} bytes or more, ${Math.max(0, left)} of ${quota} are left. Remove files (DELETE on their address, with your key), or let files and old requests expire.`,
    );
}

/** 507: the client cannot fix it, and an immediate retry would not help. */
export const diskFull = (): WireError => refused(507, "The server has no disk space left for this file");

function refused(status: number, detail: string): WireError {
  return WireError.of(requestFailure(status, "bad_request", detail));
}
