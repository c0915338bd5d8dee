/** The queue over HTTP: submit, status, result, cancel, under /queue/<owner>/<alias>. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Authenticator } from "../access/authenticate.ts";
import type { Caller } from "../access/caller.ts";
import type { Config } from "../config.ts";
import { parseRequestPath, type RequestPart, type RequestPath } from "../queue/request-path.ts";
import type { RequestQueue } from "../queue/request-queue.ts";
import { readSubmissionOptions } from "../queue/submission.ts";
import { WireError } from "../queue/wire-error.ts";
import type { JsonBody } from "./json-body.ts";
import { publicUrlFor } from "./reached-as.ts";

export type QueueRouteDeps = {
  readonly config: Config;
  readonly queue: RequestQueue;
  readonly authenticator: Authenticator;
};

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;
type Wildcard = { readonly "*": string };

/** Mounts the routes under `prefix`. */
export function addQueueRoutes(app: FastifyInstance, prefix: string, deps: QueueRouteDeps): void {
  const on = (part: RequestPart | "submit", handle: RequestHandler): Handler =>
    async function route(request, reply) {
      const target = targetOf(request, part, deps.config);
      const caller = await deps.authenticator.caller(request.headers.authorization, target.endpoint);
      return handle({ request, reply, target, caller, deps });
    };
  const path = `${prefix}/*`;
  app.post(path, on("submit", submit));
  app.get(path, async (request, reply) => {
    const part = parseRequestPath((request.params as Wildcard)["*"])?.request?.part ?? "result";
    return on(part, part === "status" ? status : result)(request, reply);
  });
  app.put(path, on("cancel", cancel));
}

type Exchange = {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly target: RequestPath;
  readonly caller: Caller;
  readonly deps: QueueRouteDeps;
};
type RequestHandler = (exchange: Exchange) => Promise<FastifyReply>;

/** @throws WireError 404 for an endpoint that is not ours, or an address that does not fit the method */
function targetOf(request: FastifyRequest, part: RequestPart | "submit", config: Config): RequestPath {
  const target = parseRequestPath((request.params as Wildcard)["*"]);
  if (target === undefined || (target.request?.part ?? "submit") !== part) {
    throw new WireError(404, { detail: `${request.method} ${request.url.split("?")[0]}: no such address` });
  }
  if (target.endpoint === config.endpoint) return target;
  throw new WireError(404, { detail: `Application "${target.endpoint}" not found` });
}

async function submit({ request, reply, target, caller, deps }: Exchange): Promise<FastifyReply> {
  const { text, value } = (request.body ?? { text: "", value: undefined }) as JsonBody;
  const query = request.query as Record<string, string | string[] | undefined>;
  const status = await deps.queue.submit({
    caller,
    endpoint: target.endpoint,
    path: target.path,
    publicUrl: publicUrlFor(request, deps.config),
    text,
    body: value,
    options: readSubmissionOptions({
      header: (name) => [request.headers[name]].flat()[0],
      query: (name) => [query[name]].flat()[0],
    }),
  });
  return reply.code(200).header("x-fal-request-id", status.request_id).send(status);
}

async function status({ request, reply, target, caller, deps }: Exchange): Promise<FastifyReply> {
  const id = target.request?.id ?? "";
  const { logs } = request.query as { logs?: string };
  const body = await deps.queue.status(caller, id, {
    publicUrl: publicUrlFor(request, deps.config),
    logs: logs === "1" || logs === "true",
  });
  // The code alone tells some clients that it is over.
  const code = body.status === "COMPLETED" ? 200 : 202;
  return reply.code(code).header("x-fal-request-id", id).send(body);
}

async function result({ reply, target, caller, deps }: Exchange): Promise<FastifyReply> {
  const id = target.request?.id ?? "";
  const answer = await deps.queue.answer(caller, id);
  return reply
    .code(answer.status)
    .headers({ ...answer.headers, "x-fal-request-id": id })
    .type("application/json")
    .send(answer.body);
}

async function cancel({ reply, target, caller, deps }: Exchange): Promise<FastifyReply> {
  const id = target.request?.id ?? "";
  const body = await deps.queue.cancel(caller, id);
  return reply.code(202).header("x-fal-request-id", id).send(body);
}
