/** Streams bodies of any type and size to their route, with a limit on silence. */
import { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { WireError } from "../wire/wire-error.ts";

/** An upload is cut after this long without a byte. */
const patienceMs = 60_000;

/** Turns body parsing off under `app`, for every content type. */
export function skipBodyParsing(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, body, done) => done(null, body));
}

/**
 * Returns the body, and its announced length if there is one. Node ends the stream with an error when fewer bytes arrive.
 *
 * @throws WireError 408, from the stream, after `silenceMs` without a byte
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
 * Uses `read`, which joins what has arrived, and waits a turn when little has: a client may send one byte at a time, and
 * each chunk costs the same on its way to disk.
 */
async function* untilSilent(source: Readable, silenceMs: number): AsyncGenerator<Buffer> {
  for (;;) {
    const piece: Buffer | null = source.read();
    if (piece !== null) yield piece;
    if (source.readableEnded) return;
    if (source.readableLength === 0) await waitForData(source, silenceMs);
    if (source.readableLength < source.readableHighWaterMark) await nextTurn();
  }
}

const streamEvents = ["readable", "end", "error", "close"] as const;

/** Resolves when there is something to read, or at the end. @throws WireError 408, or why the connection ended early */
function waitForData(source: Readable, silenceMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: unknown) => {
      clearTimeout(timer);
      for (const name of streamEvents) source.off(name, settle);
      if (error === undefined) resolve();
      else reject(error);
    };
    const timer = setTimeout(() => settle(tooSlow(silenceMs)), silenceMs);
    for (const name of streamEvents) source.once(name, settle);
    if (source.destroyed) settle(source.errored ?? new Error("the connection ended within the body"));
  });
}

const tooSlow = (silenceMs: number) =>
  new WireError(408, { detail: `The upload stopped: no byte came for ${silenceMs / 1000} seconds` });
