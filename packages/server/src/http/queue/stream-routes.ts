/** The status as a stream of server-sent events: one an update, closed after the end. */
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import type { QueueStatus } from "../../wire/queue.ts";

/**
 * Sends updates until they end; when the client goes away, nobody asks for more.
 *
 * @param updates undefined stands for a while without news: a comment goes out, so that nothing on the way gives up on us
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
      // nginx would keep events back until it has a buffer full of them.
      "x-accel-buffering": "no",
    })
    .send(Readable.from(events(updates)));
}

async function* events(updates: AsyncIterable<QueueStatus | undefined>): AsyncGenerator<string> {
  for await (const update of updates) {
    yield update === undefined ? ": ping\n\n" : `data: ${JSON.stringify(update)}\n\n`;
  }
}

/** Aborted as soon as the client is gone, or was answered. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort());
  return gone.signal;
}
