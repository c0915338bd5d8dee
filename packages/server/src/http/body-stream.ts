/** Bodies that are passed on as they come, of any type and size, as long as they do come. */
import { Readable } from "node:stream";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { WireError } from "../queue/wire-error.ts";

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

async function* untilSilent(source: Readable, silenceMs: number): AsyncGenerator<Buffer> {
  const pieces = source.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  try {
    for (;;) {
      const { done, value } = await beforeSilence(pieces.next(), silenceMs);
      if (done === true) return;
      yield value;
    }
  } finally {
    // Not waited for: a `next` that is still out would be waited for first.
    void pieces.return?.();
  }
}

async function beforeSilence<Value>(next: Promise<Value>, silenceMs: number): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(tooSlow(silenceMs)), silenceMs);
  });
  try {
    return await Promise.race([next, silence]);
  } finally {
    clearTimeout(timer);
  }
}

const tooSlow = (silenceMs: number) =>
  new WireError(408, { detail: `The upload stopped: no byte came for ${silenceMs / 1000} seconds` });
