/** Lists and cancels unfinished requests of all users, for administrators. fal has no such routes. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { validate as isUuid } from "uuid";
import { z } from "zod";
import type { Authenticator } from "../../access/authenticate.ts";
import type { Database } from "../../db/database.ts";
import { findUnfinished, type UnfinishedRequest } from "../../db/requests/history.ts";
import { findSummary } from "../../db/requests/requests.ts";
import { cursor, readCursor, writeCursor } from "../../queue/history-query.ts";
import type { RequestQueue } from "../../queue/request-queue.ts";
import { parseWire } from "../../wire/parse-wire.ts";
import { WireError } from "../../wire/wire-error.ts";
import { Admission } from "../admission.ts";

export type AdminRouteDeps = {
  readonly db: Database;
  readonly queue: RequestQueue;
  readonly authenticator: Authenticator;
};

const path = "/v1/queue/requests";

/** Mounts the routes, in a scope that parses JSON. */
export function addAdminRoutes(app: FastifyInstance, deps: AdminRouteDeps): void {
  const { authenticator } = deps;
  const admission = new Admission((request) =>
    authenticator.administrator(request.headers.authorization, "the requests of all users"),
  );
  app.get(path, { onRequest: admission.onRequest }, (request) => list(request, deps));
  app.put(`${path}/:id/cancel`, { onRequest: admission.onRequest }, async (request, reply) => {
    const { keyId } = admission.of(request);
    return cancel(request, reply, { keyId, ...deps });
  });
}

const Query = z.object({
  user_id: z.string().optional(),
  status: z.enum(["IN_QUEUE", "IN_PROGRESS"]).optional(),
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: cursor.optional(),
});

/** In the order of arrival. */
async function list(request: FastifyRequest, { db }: AdminRouteDeps) {
  const query = parseWire(Query, request.query, "query");
  const found = await findUnfinished(db, {
    userId: query.user_id,
    state: query.status === undefined ? undefined : query.status === "IN_QUEUE" ? "queued" : "running",
    after: query.cursor === undefined ? 0 : readCursor(query.cursor),
    limit: query.limit + 1,
  });
  const items = found.slice(0, query.limit);
  const last = items.at(-1);
  const hasMore = found.length > items.length && last !== undefined;
  return {
    items: items.map(shown),
    next_cursor: hasMore ? writeCursor(last.sequence) : null,
    has_more: hasMore,
  };
}

function shown({ id, userId, endpoint, state, priority, sentAt, startedAt }: UnfinishedRequest) {
  return {
    request_id: id,
    user_id: userId,
    endpoint_id: endpoint,
    status: state === "queued" ? "IN_QUEUE" : "IN_PROGRESS",
    priority,
    sent_at: sentAt.toISOString(),
    started_at: startedAt?.toISOString() ?? null,
  };
}

/** Cancels a request as its owner would. @throws WireError 404, 400 when it has ended */
async function cancel(
  request: FastifyRequest,
  reply: FastifyReply,
  { db, queue, keyId }: AdminRouteDeps & { readonly keyId: string | null },
): Promise<FastifyReply> {
  const { id } = request.params as { readonly id: string };
  const summary = isUuid(id) ? await findSummary(db, id) : undefined;
  if (summary === undefined) throw new WireError(404, { status: "NOT_FOUND" });
  const body = await queue.cancel({ userId: summary.userId, keyId, scope: "admin" }, id);
  request.log.info({ request: id, user: summary.userId, key: keyId }, "request: cancelled by administrator");
  return reply.code(202).send(body);
}
