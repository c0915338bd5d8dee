/**
 * Parses every body as JSON, whatever its content type: clients send `application/json` with an empty body, and curl sends
 * JSON as a form.
 *
 * Up to 1 MiB is parsed here, in a few milliseconds. Larger bodies go to a thread. The caller is authenticated before.
 */
import type { Readable } from "node:stream";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { FilePattern } from "../wire/files-in.ts";
import { jsonInvalidDetail } from "../wire/pydantic.ts";
import { requestFailure } from "../wire/request-failures.ts";
import { WireError } from "../wire/wire-error.ts";
import { Gathered, type Memory } from "./gathered.ts";
import { type LargeBodies, type LargeBody, retryLater } from "./large-bodies.ts";
import { type JsonBody, readJson } from "./read-json.ts";
import { BodyRefusal } from "./scan-json.ts";

/** Limit on a body without its data URIs. */
export const smallBodyBytes = 2 ** 20;

/** A submission has about 20. */
const mostValues = 10_000;

/** The body of a request that sent none. */
const emptyBody: JsonBody = { text: "", value: undefined, files: [] };

/** Returns the body of a request under `parseJsonBodies`. */
export function jsonOf(request: FastifyRequest): JsonBody {
  return (request.body as JsonBody | null | undefined) ?? emptyBody;
}

export type ExpectedBody = {
  /** Where data URIs become files. */
  readonly files: readonly FilePattern[];
  /** Large bodies count against this user's share, whichever key or token comes with them. */
  readonly userId: string;
};

const expectedBodies = new WeakMap<FastifyRequest, ExpectedBody>();

/** Sets, before the body is read, where it holds files and whose it is. Default: no files, no user. */
export function expectBody(request: FastifyRequest, expected: ExpectedBody): void {
  expectedBodies.set(request, expected);
}

const heldBodies = new WeakMap<FastifyRequest, LargeBody>();

/** Frees the place of a large body early. For routes that respond long after they have read it. */
export function releaseBody(request: FastifyRequest): void {
  heldBodies.get(request)?.release();
}

export type JsonOptions = {
  readonly largeBodies?: LargeBodies;
  readonly mostValues?: number;
  /** Shared by the bodies up to 1 MiB of all scopes. */
  readonly memory?: Memory;
};

/**
 * Makes `request.body` a `JsonBody` on every route of `app`. A route's `bodyLimit` is the limit on the whole body.
 *
 * @param options.largeBodies for routes that take more than 1 MiB
 */
export function parseJsonBodies(app: FastifyInstance, options: JsonOptions = {}): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (request: FastifyRequest, payload: Readable) =>
    read(request, payload, options),
  );
  if (options.largeBodies === undefined) return;
  app.addHook("onRequest", async (request, reply) => {
    // Also when the client disconnects before the response.
    if (request.method === "POST") reply.raw.once("close", () => releaseBody(request));
  });
}

/** Bytes per message to the thread. */
const pieceBytes = 2 ** 18;

async function read(request: FastifyRequest, payload: Readable, options: JsonOptions): Promise<JsonBody> {
  const limit = request.routeOptions.bodyLimit ?? smallBodyBytes;
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > limit) throw tooLarge(announced, limit);
  const { memory } = options;
  const gathered = new Gathered();
  let [length, taken] = [0, 0];
  let large = announced > smallBodyBytes ? beginLarge(request, announced, options) : undefined;
  const add = (piece: Buffer) => {
    length += piece.length;
    if (length > limit) throw tooLarge(length, limit);
    if (large === undefined && length > smallBodyBytes) large = beginLarge(request, 0, options);
    if (large === undefined) {
      if (memory?.take(piece.length) === false) throw retryLater("Too many requests are being read already");
      taken += piece.length;
    }
    gathered.add(piece);
    if (gathered.length >= pieceBytes) large?.write(gathered.take());
  };
  try {
    await forEachPiece(payload, add);
    const limits = {
      mostBytes: Math.min(smallBodyBytes, limit),
      mostValues: options.mostValues ?? mostValues,
      files: expectedBodies.get(request)?.files ?? [],
    };
    large?.write(gathered.take());
    return large === undefined ? readJson(gathered.take(), limits) : await large.end(limits);
  } catch (error) {
    throw error instanceof BodyRefusal ? wireErrorOf(error) : error;
  } finally {
    memory?.give(taken);
  }
}

function beginLarge(
  request: FastifyRequest,
  lengthBytes: number,
  { largeBodies }: JsonOptions,
): LargeBody | undefined {
  const large = largeBodies?.begin(lengthBytes, expectedBodies.get(request)?.userId ?? "");
  if (large !== undefined) heldBodies.set(request, large);
  return large;
}

function wireErrorOf({ status, message }: BodyRefusal): WireError {
  return status === 413
    ? refused(`body: ${message}`)
    : new WireError(422, { detail: [jsonInvalidDetail(message)] });
}

/** Yields to the event loop after this many chunks: a client may send one byte at a time. */
const piecesPerTurn = 1000;

/** Uses events: leaving a `for await` loop would close the connection before the response. */
function forEachPiece(payload: Readable, take: (piece: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: unknown) => {
      payload.off("data", onData).off("end", settle).off("error", settle).off("close", onClose);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onClose = () => settle(new WireError(400, { detail: "The connection ended within the body" }));
    let pieces = 0;
    const onData = (piece: Buffer) => {
      if (++pieces % piecesPerTurn === 0) {
        payload.pause();
        setImmediate(() => payload.resume());
      }
      try {
        take(piece);
      } catch (error) {
        settle(error);
      }
    };
    payload.on("data", onData).once("end", settle).once("error", settle).once("close", onClose);
  });
}

function tooLarge(bytes: number, limit: number): WireError {
  return refused(`body: got ${bytes} bytes or more, expected at most ${limit}`);
}

function refused(detail: string): WireError {
  return WireError.of(requestFailure(413, "bad_request", detail));
}
