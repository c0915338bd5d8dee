/**
 * History of requests: listing them, deleting their payloads, and the state of the whole queue.
 *
 * Source: fal.ai/docs/platform-apis/v1/models/requests; fal-ai/fal, `projects/fal/src/fal/cli/queue.py`.
 */
import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { validate as isUuid } from "uuid";
import type { Authenticator } from "../../access/authenticate.ts";
import type { Caller } from "../../access/caller.ts";
import type { Config } from "../../config/config.ts";
import type { Database } from "../../db/database.ts";
import {
  countQueuedByUser,
  deletePayloads,
  findHistory,
  findPayload,
  type HistoryItem,
  type OrphanedFile,
} from "../../db/requests/history.ts";
import { findAnswer } from "../../db/requests/requests.ts";
import { cancelAllQueued } from "../../db/requests/transitions.ts";
import type { EndpointRegistry } from "../../endpoints/registry.ts";
import { RequestFolder } from "../../jobs/confine/request-folder.ts";
import { readHistoryQuery, writeCursor } from "../../queue/history-query.ts";
import type { FileStore } from "../../storage/stores/file-store.ts";
import { fileUrl, type PublicUrl } from "../../wire/public-urls.ts";
import { WireError } from "../../wire/wire-error.ts";
import { Admission } from "../admission.ts";

export type HistoryRouteDeps = {
  readonly config: Pick<Config, "home">;
  readonly endpoints: EndpointRegistry;
  readonly db: Database;
  readonly authenticator: Authenticator;
  readonly store: FileStore;
};

/** Mounts the routes at the paths of the hosted service. */
export function addHistoryRoutes(app: FastifyInstance, deps: HistoryRouteDeps): void {
  app.get("/v1/models/requests/by-endpoint", (request, reply) => history(request, reply, deps));
  const { authenticator } = deps;
  const forgetting = new Admission((request) =>
    authenticator.administrator(request.headers.authorization, "the payloads of requests"),
  );
  app.delete("/v1/models/requests/:id/payloads", { onRequest: forgetting.onRequest }, (request) =>
    forget(request, forgetting.of(request), deps),
  );
  const queue = "/rest/applications/:owner/:alias/queue";
  app.get(queue, (request) => queueSize(request, deps));
  const flushing = new Admission((request) => {
    ownEndpoint(request, deps.endpoints);
    return authenticator.administrator(request.headers.authorization, "the queue");
  });
  app.delete(queue, { onRequest: flushing.onRequest }, (request) =>
    flush(request, flushing.of(request), deps),
  );
}

/** Bytes of payloads per page. A page ends early with a cursor, and has at least one request. */
const mostPayloadBytes = 8 * 2 ** 20;

async function history(
  request: FastifyRequest,
  reply: FastifyReply,
  { endpoints, db, authenticator }: HistoryRouteDeps,
) {
  const { userId } = await authenticator.keyHolder(request.headers.authorization, "the history of requests");
  const { withPayloads, limit, ...filter } = readHistoryQuery(request.query, new Date());
  if (endpoints.find(filter.endpoint) === undefined) {
    throw new WireError(404, { detail: `Application "${filter.endpoint}" not found` });
  }
  // Reads one more to see whether there is a next page.
  const found = await findHistory(db, { ...filter, userId, limit: limit + 1 });
  const items = withPayloads ? withinBytes(found.slice(0, limit)) : found.slice(0, limit);
  const last = items.at(-1);
  const hasMore = found.length > items.length && last !== undefined;
  const end = { next_cursor: hasMore ? writeCursor(last.sequence) : null, has_more: hasMore };
  if (!withPayloads) return reply.send({ items: items.map(shown), ...end });
  return reply.type("application/json; charset=utf-8").send(Readable.from(pageOf(items, end, db)));
}

function withinBytes(items: readonly HistoryItem[]): readonly HistoryItem[] {
  let bytes = 0;
  const first = items.findIndex((item, index) => {
    bytes += item.payloadBytes;
    return index > 0 && bytes > mostPayloadBytes;
  });
  return first === -1 ? items : items.slice(0, first);
}

/** Builds the page with payloads, one request at a time, as stored and without parsing them. */
async function* pageOf(items: readonly HistoryItem[], end: object, db: Database): AsyncGenerator<string> {
  yield '{"items":[';
  for (const [index, item] of items.entries()) {
    const { input, output } = await findPayload(db, item.id);
    const start = JSON.stringify(shown(item)).slice(0, -1);
    yield `${index === 0 ? "" : ","}${start},"json_input":${input ?? "null"},"json_output":${output ?? "null"}}`;
  }
  yield `],${JSON.stringify(end).slice(1)}`;
}

function shown(item: HistoryItem) {
  return {
    request_id: item.id,
    endpoint_id: item.endpoint,
    sent_at: item.sentAt.toISOString(),
    started_at: item.startedAt?.toISOString() ?? null,
    ended_at: item.endedAt?.toISOString() ?? null,
    status_code: item.status,
    /** Seconds of work. */
    duration: item.startedAt === null ? null : item.runSeconds,
  };
}

type DeletionResult = { readonly link: string; readonly exception: string | null };

async function forget(request: FastifyRequest, { userId }: Caller, { config, db, store }: HistoryRouteDeps) {
  const { id } = request.params as { readonly id: string };
  const deleted = isUuid(id) ? await deletePayloads(db, id, userId) : undefined;
  if (deleted === undefined) throw await notDeletable(db, id, userId);
  const results: DeletionResult[] = [];
  for (const file of deleted.files) results.push(await removeFile(store, file, deleted.publicUrl, request));
  // The request's folder on this machine holds a copy in the job and in what the training wrote.
  await new RequestFolder(config.home, id).remove();
  return { cdn_delete_results: results };
}

async function notDeletable(db: Database, id: string, userId: string): Promise<WireError> {
  const isThere = isUuid(id) && (await findAnswer(db, id, userId)) !== undefined;
  return isThere
    ? WireError.badRequest(`request ${id}: has no end yet; cancel it, or wait`)
    : new WireError(404, { status: "NOT_FOUND" });
}

async function removeFile(
  store: FileStore,
  file: OrphanedFile,
  publicUrl: PublicUrl,
  request: FastifyRequest,
): Promise<DeletionResult> {
  const link = fileUrl(publicUrl, file);
  try {
    await store.remove(file.id);
    return { link, exception: null };
  } catch (error) {
    request.log.error({ err: error, file: file.id }, "storage: bytes of a deleted file not removed");
    return { link, exception: "The file cannot be reached any more, but its bytes could not be removed." };
  }
}

/** Returns the length of the queue, and for an administrator its users. */
async function queueSize(request: FastifyRequest, deps: HistoryRouteDeps) {
  const endpoint = ownEndpoint(request, deps.endpoints);
  const { scope } = await deps.authenticator.keyHolder(request.headers.authorization, "the queue");
  const users = await countQueuedByUser(deps.db, endpoint);
  const size = users.reduce((sum, { count }) => sum + count, 0);
  if (scope !== "admin") return { size };
  return { size, by_user: Object.fromEntries(users.map(({ userId, count }) => [userId, count])) };
}

/** Cancels all queued requests of all users. */
async function flush(request: FastifyRequest, { keyId }: Caller, deps: HistoryRouteDeps) {
  const cancelled = await cancelAllQueued(deps.db, ownEndpoint(request, deps.endpoints));
  request.log.info({ cancelled, key: keyId }, "queue: flushed");
  return { size: 0, cancelled };
}

/** @throws WireError 404 for an endpoint that is not ours */
function ownEndpoint(request: FastifyRequest, endpoints: EndpointRegistry): string {
  const { owner, alias } = request.params as { readonly owner: string; readonly alias: string };
  const endpoint = endpoints.find(`${owner}/${alias}`);
  if (endpoint !== undefined) return endpoint.name;
  throw new WireError(404, { detail: `Application "${owner}/${alias}" not found` });
}
