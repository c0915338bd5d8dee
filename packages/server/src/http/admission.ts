/**
 * Authenticates callers before their body is read, so that no unauthenticated body is held, parsed or waited for.
 *
 * Fastify reads the body between `onRequest` and the handler, so a check in the handler would be too late.
 */
import type { FastifyInstance, FastifyRequest } from "fastify";

/** A check that runs as a route's `onRequest` and keeps its result for the route's handler. */
export class Admission<Found> {
  /** Goes in the route's options. */
  readonly onRequest: (request: FastifyRequest) => Promise<void>;
  readonly #found = new WeakMap<FastifyRequest, { readonly value: Found }>();

  /** @param find throws a `WireError` for a caller without access */
  constructor(find: (request: FastifyRequest) => Promise<Found>) {
    this.onRequest = async (request) => {
      this.#found.set(request, { value: await find(request) });
    };
  }

  /** Returns the result of `find` for a request. */
  of(request: FastifyRequest): Found {
    const found = this.#found.get(request);
    if (found === undefined) throw new Error(`${request.routeOptions.url}: the route lacks its onRequest`);
    return found.value;
  }
}

const withBody = new Set(["POST", "PUT", "PATCH", "DELETE"]);

/** Throws at startup for every route of `app` that takes a body and has no `onRequest`. */
export function requireAdmission(app: FastifyInstance): void {
  app.addHook("onRoute", ({ method, url, onRequest }) => {
    if (onRequest === undefined && [method].flat().some((name) => withBody.has(name))) {
      throw new Error(
        `${method} ${url}: expected an onRequest that checks the caller before the body is read`,
      );
    }
  });
}
