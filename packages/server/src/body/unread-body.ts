/**
 * What becomes of a body that is still coming when its answer is out: a refusal comes before the body.
 *
 * Closing at once would reset the connection, and a client that is still sending would not see its answer. Reading on without
 * end, as Node does, would let a stranger send for ever. So a little is read, then the connection is closed.
 */
import type { IncomingMessage, Server } from "node:http";

export type UnreadLimits = { readonly bytes: number; readonly ms: number };

const defaults: UnreadLimits = { bytes: 2 ** 20, ms: 5_000 };

/** Between the last byte that is read and the end. */
const pauseMs = 1_000;

/** Closes connections that send more than `limits` after their answer, whichever limit comes first. */
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
    // Whoever writes without end learns of the answer while its writes wait, and of the end right after.
    request.pause();
    setTimeout(() => request.socket.destroy(), Math.min(ms, pauseMs)).unref();
  });
  request.resume();
  // A request that was never read from is discarded by Node itself, without a limit. Now it was.
  request.read(0);
}
