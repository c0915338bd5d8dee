/**
 * Limits bodies that are still arriving after the response, as after a refusal.
 *
 * Closing at once would reset the connection, and a client that is still sending would not see the response. Reading without
 * a limit, as Node does, would let anyone send forever. So a limited amount is read, then the connection is closed.
 */
import type { IncomingMessage, Server } from "node:http";

export type UnreadLimits = { readonly bytes: number; readonly ms: number };

const defaults: UnreadLimits = { bytes: 2 ** 20, ms: 5_000 };

/** Pause between the last byte read and the close. */
const pauseMs = 1_000;

/** Closes connections that exceed one of the limits after their response. */
export function limitUnreadBodies(server: Server, limits = defaults): void {
  server.prependListener("request", (request, response) => {
    response.prependOnceListener("finish", () => {
      if (!request.complete) discard(request, limits);
    });
  });
}

function discard(request: IncomingMessage, { bytes, ms }: UnreadLimits): void {
  let left = bytes;
  const timer = setTimeout(() => request.socket.destroy(), ms);
  for (const event of ["end", "close"]) request.once(event, () => clearTimeout(timer));
  request.on("data", (piece: Buffer) => {
    left -= piece.length;
    if (left >= 0) return;
    // A client that keeps writing sees the response while its writes block, and the close right after.
    request.pause();
    setTimeout(() => request.socket.destroy(), Math.min(ms, pauseMs)).unref();
  });
  request.resume();
  // Node discards a request that was never read, without a limit. This read prevents that.
  request.read(0);
}
