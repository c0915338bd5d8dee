/**
 * Limits the open requests per connection.
 *
 * Node handles all requests of one chunk in one turn of the event loop: 64 KiB hold 1,700 small ones, which took up to a second
 * of CPU time, without a key. No client that we support sends a second request before the response to the first.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

const mostOpen = 32;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Closes connections with more open requests. Call it after all other listeners are added. */
export function limitPipelining(server: Server, most = mostOpen): void {
  const handlers = server.listeners("request") as Handler[];
  const open = new WeakMap<Socket, number>();
  server.removeAllListeners("request");
  server.on("request", (request, response) => {
    const { socket } = request;
    // Node continues with requests that have already arrived.
    if (socket.destroyed) return;
    const count = (open.get(socket) ?? 0) + 1;
    if (count > most) return void socket.destroy();
    open.set(socket, count);
    response.once("close", () => open.set(socket, (open.get(socket) ?? 1) - 1));
    for (const handler of handlers) handler.call(server, request, response);
  });
}
