/** Files and uploads from pages of any origin: what they need is in the address or a token, never in a cookie. */
import type { FastifyInstance } from "fastify";

/** Marks every answer under `app`, and answers the browser's question beforehand on these paths. */
export function allowAnyOrigin(app: FastifyInstance, paths: readonly string[]): void {
  app.addHook("onRequest", async (_request, reply) => {
    reply.headers({
      "access-control-allow-origin": "*",
      "access-control-expose-headers":
        "etag, content-length, content-range, content-disposition, accept-ranges",
    });
  });
  for (const path of paths) {
    app.options(path, async (request, reply) => {
      const wanted = request.headers["access-control-request-headers"];
      return reply
        .code(204)
        .headers({
          "access-control-allow-methods": "GET, HEAD, POST, PUT, OPTIONS",
          "access-control-allow-headers": wanted ?? "authorization, content-type, range",
          "access-control-max-age": "86400",
        })
        .send();
    });
  }
}
