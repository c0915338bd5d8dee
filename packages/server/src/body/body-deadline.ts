/** Time limit for bodies that are held in memory, so that a client that sends slowly cannot hold them forever. */
import type { FastifyInstance } from "fastify";

/** 1 Mbit/s. A slower body is cut at the time limit. */
const slowestBytesPerSecond = 2 ** 17;

/**
 * Closes connections whose body under `app` is not complete after `limitMs`. A body that arrives fast enough gets the same
 * time again. Bodies that no route reads, such as that of a GET, count too.
 */
export function limitBodyTime(app: FastifyInstance, limitMs: number): void {
  app.addHook("onRequest", async ({ headers, raw }, reply) => {
    const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
    if (!hasBody || raw.complete) return;
    const enough = (slowestBytesPerSecond * limitMs) / 1000;
    let seen = raw.socket.bytesRead;
    const timer = setInterval(() => {
      // An empty body is never read, so it never ends. Its request may be waiting for the response.
      if (raw.complete) return clearInterval(timer);
      const came = raw.socket.bytesRead - seen;
      seen += came;
      if (came >= enough) return;
      clearInterval(timer);
      if (reply.raw.headersSent) return raw.destroy();
      // Like Node itself: no handler runs yet that could respond.
      raw.socket.end("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", () => raw.destroy());
    }, limitMs);
    raw.once("end", () => clearInterval(timer));
    raw.once("close", () => clearInterval(timer));
  });
}
