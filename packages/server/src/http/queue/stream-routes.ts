/** Streams the status as server-sent events: one per update, closed after the end. */
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import type { QueueStatus } from "../../wire/queue.ts";

/**
 * Sends updates until they end or the client disconnects.
 *
 * @param updates undefined means no update for a while: a comment is sent, so that proxies keep the connection open
 */
export function sendStatusStream(
  reply: FastifyReply,
  updates: AsyncIterable<QueueStatus | undefined>,
): FastifyReply {
  return reply
    .code(200)
    .headers({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
      // nginx would buffer events otherwise.
      "x-accel-buffering": "no",
    })
    .send(Readable.from(events(updates)));
}

async function* events(updates: AsyncIterable<QueueStatus | undefined>): AsyncGenerator<string> {
  for await (const update of updates) {
    yield update === undefined ? ": ping\n\n" : `data: ${JSON.stringify(update)}\n\n`;
  }
}

/** Returns a signal that aborts when the client disconnects, or after the response. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort());
  return gone.signal;
}
