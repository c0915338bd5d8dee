/** Bodies that are kept in memory have to come soon: a client that sends a byte now and then would hold them for ever. */
import type { FastifyInstance } from "fastify";

/** Ends connections whose body under `app` is not there after so many milliseconds. */
export function limitBodyTime(app: FastifyInstance, limitMs: number): void {
  app.addHook("onRequest", async ({ method, raw }) => {
    if (method === "GET" || method === "HEAD" || raw.complete) return;
    const timer = setTimeout(() => {
      // An empty body is never read, and so never ends; its request may be waiting for its answer by now.
      if (raw.complete) return;
      // As Node itself does it: there is no handler yet that could answer.
      raw.socket.end("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", () => raw.destroy());
    }, limitMs);
    raw.once("end", () => clearTimeout(timer));
    raw.once("close", () => clearTimeout(timer));
  });
}
