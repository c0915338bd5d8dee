/** Bodies that are kept in memory have to come soon: a client that sends a byte now and then would hold them for ever. */
import type { FastifyInstance } from "fastify";

/** Slower than this, a body is given up when its time is over: 1 Mbit/s. */
const slowestBytesPerSecond = 2 ** 17;

/**
 * Ends connections whose body under `app` is not there after so many milliseconds; one that comes at a fair speed has that
 * time again and again. A body that nobody reads, as that of a GET, counts as well.
 */
export function limitBodyTime(app: FastifyInstance, limitMs: number): void {
  app.addHook("onRequest", async ({ headers, raw }, reply) => {
    const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
    if (!hasBody || raw.complete) return;
    const enough = (slowestBytesPerSecond * limitMs) / 1000;
    let seen = raw.socket.bytesRead;
    const timer = setInterval(() => {
      // An empty body is never read, and so never ends; its request may be waiting for its answer by now.
      if (raw.complete) return clearInterval(timer);
      const came = raw.socket.bytesRead - seen;
      seen += came;
      if (came >= enough) return;
      clearInterval(timer);
      if (reply.raw.headersSent) return raw.destroy();
      // As Node itself does it: there is no handler yet that could answer.
      raw.socket.end("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", () => raw.destroy());
    }, limitMs);
    raw.once("end", () => clearInterval(timer));
    raw.once("close", () => clearInterval(timer));
  });
}
