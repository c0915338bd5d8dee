/**
 * Synchronous runs under /run/<owner>/<alias>: one call that submits, waits and returns the result.
 *
 * A client that disconnects can never get the result, and most retry. So its request is cancelled, and the retry does not train
 * beside it. With an idempotency key the retry finds the request, so that one continues.
 */
import type { FastifyInstance, FastifyReply } from "fastify";
import type { Logger } from "pino";
import { authorizationOf } from "../../access/authenticate.ts";
import type { Caller } from "../../access/caller.ts";
import { releaseBody } from "../../body/json-body.ts";
import { parseRequestPath } from "../../wire/request-path.ts";
import { WireError } from "../../wire/wire-error.ts";
import { admit, type Exchange, type QueueRouteDeps, sendAnswer, submissionOf } from "./queue-routes.ts";
import { goneSignal } from "./stream-routes.ts";

export type RunRouteDeps = QueueRouteDeps & { readonly log: Logger };

/** Mounts the routes under `prefix`. */
export function addRunRoutes(app: FastifyInstance, prefix: string, deps: RunRouteDeps): void {
  const closing = new AbortController();
  const waiting = new Set<Promise<unknown>>();
  const admission = admit(() => "submit", deps);
  const options = { onRequest: admission.onRequest, bodyLimit: deps.config.maxBodyBytes };
  app.post(`${prefix}/*`, options, async (request, reply) => {
    const answered = run({ request, reply, ...admission.of(request), deps }, closing.signal);
    waiting.add(answered);
    try {
      return await answered;
    } finally {
      waiting.delete(answered);
    }
  });
  // These calls can only submit.
  app.get(`${prefix}/*`, async (request) => {
    const target = parseRequestPath((request.params as { readonly "*": string })["*"]);
    const endpoint = target && deps.endpoints.find(target.endpoint);
    if (endpoint === undefined) {
      throw new WireError(404, { detail: `Application "${target?.endpoint}" not found` });
    }
    await deps.authenticator.caller(authorizationOf(request), endpoint.name);
    throw new WireError(404, { detail: `Path /${target?.path} not found` }, { "x-fal-billable-units": "0" });
  });
  app.addHook("preClose", async () => {
    closing.abort();
    await Promise.allSettled(waiting);
  });
}

async function run(
  exchange: Exchange & { readonly deps: RunRouteDeps },
  closing: AbortSignal,
): Promise<FastifyReply> {
  const { request, reply, caller, deps } = exchange;
  const { queue } = deps;
  const signal = AbortSignal.any([goneSignal(reply), closing]);
  const submission = submissionOf(exchange);
  const { request_id: id } = await queue.submit(submission);
  releaseBody(request);
  const answer = await queue.end(caller, id, signal);
  if (answer !== undefined) return sendAnswer(reply, id, answer);
  if (submission.options.idempotencyKey === null) await abandon(id, caller, deps);
  throw new WireError(
    503,
    { detail: "The server stops; send the same request again" },
    { "x-fal-request-id": id, "retry-after": "1" },
  );
}

async function abandon(id: string, caller: Caller, { queue, log }: RunRouteDeps): Promise<void> {
  try {
    await queue.cancel(caller, id);
    log.info({ request: id }, "request: cancelled, client disconnected");
  } catch (error) {
    // It ended at that moment.
    if (!(error instanceof WireError)) throw error;
  }
}
