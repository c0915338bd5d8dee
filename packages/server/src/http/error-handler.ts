/** Turns errors into responses. An internal error returns only the id of its log line. */

import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifyServerOptions,
} from "fastify";
import type { Config } from "../config/config.ts";
import { requestFailure } from "../wire/request-failures.ts";
import { WireError } from "../wire/wire-error.ts";

export function handleErrors(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError | Error, request, reply) => {
    return sendWireError(asWireError(error, request), reply);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?")[0];
    return sendWireError(new WireError(404, { detail: `${request.method} ${path}: no such address` }), reply);
  });
}

/** Responses to failures before routing: URLs that cannot be decoded, bytes that are not HTTP. */
export function earlyErrors({
  corsOrigins,
}: Pick<Config, "corsOrigins">): Pick<FastifyServerOptions, "frameworkErrors" | "clientErrorHandler"> {
  return {
    frameworkErrors: (error, request, reply) => {
      // Hooks do not run for these, so CORS is set here.
      const { origin = "" } = request.headers;
      if (corsOrigins === undefined) reply.header("access-control-allow-origin", "*");
      else if (corsOrigins.includes(origin)) reply.header("access-control-allow-origin", origin);
      void sendWireError(asWireError(error, request as FastifyRequest), reply as FastifyReply);
    },
    clientErrorHandler: refuseMalformed,
  };
}

const malformed: Readonly<Record<string, readonly [status: number, detail: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, "The request did not arrive in time"],
  HPE_HEADER_OVERFLOW: [431, "Headers too large: expected at most 16 KiB in all"],
};

function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed) return;
  const [status, detail] = malformed[error.code ?? ""] ?? [400, "Not a valid HTTP request"];
  const body = JSON.stringify(requestFailure(status, "bad_request", detail).body);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\nConnection: close\r\n`;
  if (socket.writable) socket.write(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  socket.destroySoon();
}

function sendWireError(error: WireError, reply: FastifyReply): FastifyReply {
  // Fastify closes the connection when a body fails, which would cut off a client that is still sending; see
  // `limitUnreadBodies`.
  return reply
    .removeHeader("connection")
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
  request.log.error({ err: error }, "request: internal error");
  return WireError.of(
    requestFailure(500, "internal_error", `Internal error; the log has it under ${request.id}`),
  );
}
