/** The queue over HTTP: submit, status (once or streamed), result and cancel, under /queue/<owner>/<alias>. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { type Authenticator, authorizationOf } from "../../access/authenticate.ts";
import type { Caller } from "../../access/caller.ts";
import { expectBody, jsonOf } from "../../body/json-body.ts";
import type { Config } from "../../config/config.ts";
import type { RequestAnswer } from "../../db/requests/requests.ts";
import type { Endpoint } from "../../endpoints/endpoint.ts";
import type { EndpointRegistry } from "../../endpoints/registry.ts";
import type { RequestQueue, Submission } from "../../queue/request-queue.ts";
import { readSubmissionOptions } from "../../queue/submission.ts";
import { parseRequestPath, type RequestPart, type RequestPath } from "../../wire/request-path.ts";
import { WireError } from "../../wire/wire-error.ts";
import { Admission } from "../admission.ts";
import { publicUrlFor } from "../public-url.ts";
import { goneSignal, sendStatusStream } from "./stream-routes.ts";

export type QueueRouteDeps = {
  readonly config: Config;
  readonly endpoints: EndpointRegistry;
  readonly queue: RequestQueue;
  readonly authenticator: Authenticator;
};

type Wildcard = { readonly "*": string };

/** Mounts the routes under `prefix`. */
export function addQueueRoutes(app: FastifyInstance, prefix: string, deps: QueueRouteDeps): void {
  const path = `${prefix}/*`;
  const readers: Partial<Record<RequestPart, RequestHandler>> = { status, stream };
  const route = (partOf: (request: FastifyRequest) => RequestPart | "submit", handle: RequestHandler) => {
    const admission = admit(partOf, deps);
    const handler = async (request: FastifyRequest, reply: FastifyReply) =>
      handle({ request, reply, ...admission.of(request), deps });
    return { url: path, onRequest: admission.onRequest, handler };
  };
  app.route({ method: "POST", bodyLimit: deps.config.maxBodyBytes, ...route(() => "submit", submit) });
  app.route({ method: "PUT", ...route(() => "cancel", cancel) });
  const read: RequestHandler = (exchange) =>
    (readers[exchange.target.request?.part ?? "result"] ?? result)(exchange);
  app.route({ method: "GET", ...route(askedPart, read) });
}

function askedPart(request: FastifyRequest): RequestPart {
  return parseRequestPath((request.params as Wildcard)["*"])?.request?.part ?? "result";
}

/** Checks that the caller may call the endpoint in the URL. */
export function admit(
  partOf: (request: FastifyRequest) => RequestPart | "submit",
  { endpoints, authenticator }: Pick<QueueRouteDeps, "endpoints" | "authenticator">,
): Admission<Admitted> {
  return new Admission(async (request) => {
    const { target, endpoint } = targetOf(request, partOf(request), endpoints);
    const caller = await authenticator.caller(authorizationOf(request), endpoint.name);
    expectBody(request, { files: endpoint.files, userId: caller.userId });
    return { target, endpoint, caller };
  });
}

/** What is known of a request before its body is read. */
export type Admitted = {
  readonly target: RequestPath;
  readonly endpoint: Endpoint;
  readonly caller: Caller;
};

export type Exchange = Admitted & {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly deps: QueueRouteDeps;
};
type RequestHandler = (exchange: Exchange) => Promise<FastifyReply>;

/** @throws WireError 404 for an unknown endpoint, or a URL that does not fit the method */
function targetOf(
  request: FastifyRequest,
  part: RequestPart | "submit",
  endpoints: EndpointRegistry,
): Pick<Admitted, "target" | "endpoint"> {
  const target = parseRequestPath((request.params as Wildcard)["*"]);
  if (target === undefined || (target.request?.part ?? "submit") !== part) {
    throw new WireError(404, { detail: `${request.method} ${request.url.split("?")[0]}: no such address` });
  }
  const endpoint = endpoints.find(target.endpoint);
  if (endpoint !== undefined) return { target, endpoint };
  throw new WireError(404, { detail: `Application "${target.endpoint}" not found` });
}

async function submit(exchange: Exchange): Promise<FastifyReply> {
  const { reply, deps } = exchange;
  const status = await deps.queue.submit(submissionOf(exchange));
  return reply.code(200).header("x-fal-request-id", status.request_id).send(status);
}

/** Reads a submission from body, headers and query. @throws WireError 400 for an invalid header or parameter */
export function submissionOf({ request, target, endpoint, caller, deps }: Exchange): Submission {
  const { text, value, files } = jsonOf(request);
  const query = request.query as Record<string, string | string[] | undefined>;
  return {
    caller,
    endpoint,
    path: target.path,
    publicUrl: publicUrlFor(request, deps.config),
    text,
    body: value,
    files,
    options: readSubmissionOptions({
      header: (name) => [request.headers[name]].flat()[0],
      query: (name) => [query[name]].flat()[0],
    }),
  };
}

/** Tells whether the client asks for logs. fal's clients send 1 or true. */
function wantsLogs(request: FastifyRequest): boolean {
  const { logs } = request.query as { logs?: string };
  return logs === "1" || logs === "true";
}

async function status({ request, reply, target, caller, deps }: Exchange): Promise<FastifyReply> {
  const id = target.request?.id ?? "";
  const { isOver, text } = await deps.queue.status(caller, id, {
    publicUrl: publicUrlFor(request, deps.config),
    logs: wantsLogs(request),
  });
  // Some clients detect the end by the status code alone.
  return reply
    .code(isOver ? 200 : 202)
    .header("x-fal-request-id", id)
    .type("application/json; charset=utf-8")
    .send(text);
}

async function stream({ request, reply, target, caller, deps }: Exchange): Promise<FastifyReply> {
  const id = target.request?.id ?? "";
  const updates = await deps.queue.follow(caller, id, {
    publicUrl: publicUrlFor(request, deps.config),
    logs: wantsLogs(request),
    signal: goneSignal(reply),
  });
  return sendStatusStream(reply.header("x-fal-request-id", id), updates);
}

async function result({ reply, target, caller, deps }: Exchange): Promise<FastifyReply> {
  const id = target.request?.id ?? "";
  return sendAnswer(reply, id, await deps.queue.answer(caller, id));
}

/** Sends the result of a request as its response. */
export function sendAnswer(reply: FastifyReply, id: string, answer: RequestAnswer): FastifyReply {
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
