/** The one place where what was thrown becomes an answer. What was our fault says nothing but the id to ask for. */
import { requestFailure } from "@ltx-trainer/contract";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { WireError } from "../queue/wire-error.ts";

export function handleErrors(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError | Error, request, reply) => {
    return sendWireError(asWireError(error, request), reply);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?")[0];
    return sendWireError(new WireError(404, { detail: `${request.method} ${path}: no such address` }), reply);
  });
}

function sendWireError(error: WireError, reply: FastifyReply): FastifyReply {
  return reply
    .code(error.status)
    .headers(error.headers)
    .type("application/json")
    .send(JSON.stringify(error.body));
}

function asWireError(error: FastifyError | Error, request: FastifyRequest): WireError {
  if (error instanceof WireError) return error;
  const status = "statusCode" in error ? (error.statusCode ?? 500) : 500;
  if (status < 500) {
    return new WireError(status, requestFailure(status, "bad_request", error.message).body, {
      "x-fal-error-type": "bad_request",
    });
  }
  request.log.error({ err: error }, "a request failed by a fault of ours");
  return WireError.of(
    requestFailure(500, "internal_error", `Internal error; the log has it under ${request.id}`),
  );
}
