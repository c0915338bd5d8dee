/** Bodies that are passed on as they come, of any type and size, as long as they do come. */
import { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { WireError } from "../wire/wire-error.ts";

/** Without a byte for so long an upload is given up. */
const patienceMs = 60_000;

/** Leaves bodies under `app` alone, whatever their content type. */
export function passBodiesOn(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, body, done) => done(null, body));
}

/**
 * The body, and its length when that was said. Node ends it with an error when fewer bytes come than were announced.
 *
 * @throws WireError 408, out of the stream, when nothing comes any more
 */
export function streamOf(
  request: FastifyRequest,
  silenceMs = patienceMs,
): { readonly body: Readable; readonly length?: number } {
  const announced = Number(request.headers["content-length"] ?? Number.NaN);
  return {
    body: Readable.from(untilSilent(request.raw, silenceMs), { objectMode: false }),
    ...(Number.isFinite(announced) ? { length: announced } : {}),
  };
}

/**
 * By `read`, which joins what has come, and with a little of it not at once: a client may send a byte at a time, and the
 * way of a piece to the disk costs the same for each.
 */
async function* untilSilent(source: Readable, silenceMs: number): AsyncGenerator<Buffer> {
  for (;;) {
    const piece: Buffer | null = source.read();
    if (piece !== null) yield piece;
    if (source.readableEnded) return;
    if (source.readableLength === 0) await somethingFrom(source, silenceMs);
    if (source.readableLength < source.readableHighWaterMark) await nextTurn();
  }
}

const happenings = ["readable", "end", "error", "close"] as const;

/** Settles when there is something to read, or the end. @throws WireError 408, or why the connection ended before it */
function somethingFrom(source: Readable, silenceMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: unknown) => {
      clearTimeout(timer);
      for (const name of happenings) source.off(name, settle);
      if (error === undefined) resolve();
      else reject(error);
    };
    const timer = setTimeout(() => settle(tooSlow(silenceMs)), silenceMs);
    for (const name of happenings) source.once(name, settle);
    if (source.destroyed) settle(source.errored ?? new Error("the connection ended within the body"));
  });
}

const tooSlow = (silenceMs: number) =>
  new WireError(408, { detail: `The upload stopped: no byte came for ${silenceMs / 1000} seconds` });
