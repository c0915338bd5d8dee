/**
 * The caller is checked before a byte of the body is read: a stranger's body is never held, parsed or waited for.
 *
 * Fastify reads the body after `onRequest` and before the handler, so that a check in the handler comes too late.
 */
import type { FastifyInstance, FastifyRequest } from "fastify";

/** A check of the caller that runs as a route's `onRequest`, and keeps what it found for the route's handler. */
export class Admission<Found> {
  /** Goes into the route's options. */
  readonly onRequest: (request: FastifyRequest) => Promise<void>;
  readonly #found = new WeakMap<FastifyRequest, { readonly value: Found }>();

  /** @param find throws a `WireError` for a caller that may not call the route */
  constructor(find: (request: FastifyRequest) => Promise<Found>) {
    this.onRequest = async (request) => {
      this.#found.set(request, { value: await find(request) });
    };
  }

  /** What `find` returned for a request. */
  of(request: FastifyRequest): Found {
    const found = this.#found.get(request);
    if (found === undefined) throw new Error(`${request.routeOptions.url}: the route lacks its onRequest`);
    return found.value;
  }
}

const withBody = new Set(["POST", "PUT", "PATCH", "DELETE"]);

/** Refuses, at the start, every route of `app` that takes a body and has no `onRequest` of its own. */
export function requireAdmission(app: FastifyInstance): void {
  app.addHook("onRoute", ({ method, url, onRequest }) => {
    if (onRequest === undefined && [method].flat().some((name) => withBody.has(name))) {
      throw new Error(
        `${method} ${url}: expected an onRequest that checks the caller before the body is read`,
      );
    }
  });
}
