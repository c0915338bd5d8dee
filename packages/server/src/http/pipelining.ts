/**
 * How many requests one connection may have open.
 *
 * Node takes all that come in one piece in one turn of the event loop: 64 KiB hold 1,700 small ones, which took up to a second
 * of CPU time, without a key. No client of ours sends a second request before it has the answer to the first.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

const mostOpen = 32;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Closes connections with more open requests. To be called when all other listeners are there. */
export function limitPipelining(server: Server, most = mostOpen): void {
  const handlers = server.listeners("request") as Handler[];
  const open = new WeakMap<Socket, number>();
  server.removeAllListeners("request");
  server.on("request", (request, response) => {
    const { socket } = request;
    // Node goes on with what has come already.
    if (socket.destroyed) return;
    const count = (open.get(socket) ?? 0) + 1;
    if (count > most) return void socket.destroy();
    open.set(socket, count);
    response.once("close", () => open.set(socket, (open.get(socket) ?? 1) - 1));
    for (const handler of handlers) handler.call(server, request, response);
  });
}
