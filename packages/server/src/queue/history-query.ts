/** Parses the query of the history route. */
import { z } from "zod";
import { type HistoryFilter, outcomes } from "../db/requests/history.ts";
import { WireError } from "../wire/wire-error.ts";

export type HistoryQuery = Omit<HistoryFilter, "userId"> & { readonly withPayloads: boolean };

const dayMs = 24 * 3600 * 1000;
/** Default length of the time window: longer when the query names one request. */
const windowMs = { all: dayMs, one: 90 * dayMs } as const;

const moment = z.iso.datetime({ offset: true }).or(z.iso.date());
export const cursor = z.string().regex(/^[\w-]{1,40}$/);

const Query = z.object({
  endpoint_id: z.string(),
  start: moment.optional(),
  end: moment.optional(),
  status: z.enum(outcomes).optional(),
  request_id: z.uuid().optional(),
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: cursor.optional(),
  expand: z.string().optional(),
});

/**
 * @param now default end of the window
 * @throws WireError 400 that names the parameter
 */
export function readHistoryQuery(query: unknown, now: Date): HistoryQuery {
  const parsed = Query.safeParse(query);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw WireError.badRequest(`${issue?.path.join(".")}: ${issue?.message}`);
  }
  const { data } = parsed;
  // One minute later, to include requests that were submitted just now.
  const end = data.end === undefined ? new Date(now.getTime() + 60_000) : new Date(data.end);
  const length = data.request_id === undefined ? windowMs.all : windowMs.one;
  const start = data.start === undefined ? new Date(end.getTime() - length) : new Date(data.start);
  if (start > end) throw WireError.badRequest(`start: got ${data.start}, expected a moment before end`);
  return {
    endpoint: data.endpoint_id,
    start,
    end,
    outcome: data.status,
    requestId: data.request_id,
    before: data.cursor === undefined ? undefined : readCursor(data.cursor),
    limit: data.limit,
    withPayloads: data.expand?.split(",").includes("payloads") ?? false,
  };
}

/** Encodes a request's place in the history as an opaque cursor. */
export function writeCursor(sequence: number): string {
  return Buffer.from(String(sequence)).toString("base64url");
}

/** @throws WireError 400 */
export function readCursor(text: string): number {
  const digits = Buffer.from(text, "base64url").toString();
  if (/^\d{1,15}$/.test(digits)) return Number(digits);
  throw WireError.badRequest(`cursor: got "${text}", expected next_cursor of the page before`);
}
