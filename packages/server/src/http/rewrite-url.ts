/**
 * Rewrites URLs of the hosted service to ours before routing.
 *
 * There are two cases. fal's JS client sends everything to one proxy URL, with the target in a header. The target is never
 * fetched. It only selects a route. And clients that reach us under fal's own host names, through DNS or a proxy, send the
 * paths of those hosts.
 *
 * Source: fal-ai/fal-js@381105e, `libs/client/src/middleware.ts`, `libs/proxy/src/index.ts` (which targets are allowed;
 * ours allows uploads in parts and tokens as well).
 */
import type { IncomingHttpHeaders } from "node:http";
import type { FastifyInstance } from "fastify";
import { falHosts } from "../wire/public-urls.ts";
import { WireError } from "../wire/wire-error.ts";

/** Path that the JS client's `proxyUrl` points to. */
const proxyPath = "/api/fal/proxy";

const targetHeader = "x-fal-target-url";

/** Targets that the proxy accepts, by host. */
const proxied: Readonly<Record<string, RegExp>> = {
  "queue.fal.run": /^\/./,
  "fal.run": /^\/./,
  "rest.fal.ai": /^\/(storage|tokens)(\/|$)/,
  "rest.alpha.fal.ai": /^\/(storage|tokens)(\/|$)/,
  "fal.media": /^\/files\//,
  "v3.fal.media": /^\/files\//,
  "v3b.fal.media": /^\/files\//,
};

/** Paths that are the same on fal's hosts and here. */
const wellKnown = /^\/\.well-known\//;

type Incoming = { readonly url?: string | undefined; readonly headers: IncomingHttpHeaders };

/**
 * Returns the URL on this server for a request.
 *
 * A proxy request without a target, or with one that is not served, keeps its URL. The proxy route refuses it.
 *
 * @param trustsProxy whether `X-Forwarded-Host` counts
 */
export function rewriteUrl({ url = "/", headers }: Incoming, trustsProxy: boolean): string {
  if (isProxyCall(url)) return proxyTarget([headers[targetHeader]].flat()[0]) ?? url;
  const forwarded = trustsProxy ? [headers["x-forwarded-host"]].flat()[0] : undefined;
  const host = (forwarded ?? headers.host ?? "").toLowerCase();
  return url.startsWith("/") ? toLocalPath(host, url) : url;
}

/** Refuses proxy calls without a valid target. Source: fal-ai/fal-js@381105e, `libs/proxy/src/index.ts`. */
export function refuseProxyCalls(app: FastifyInstance): void {
  for (const path of [proxyPath, `${proxyPath}/`]) {
    const refuse = async () => {
      throw new WireError(400, "Invalid request");
    };
    app.all(path, { onRequest: refuse }, refuse);
  }
}

function isProxyCall(url: string): boolean {
  const path = url.split("?")[0];
  return path === proxyPath || path === `${proxyPath}/`;
}

function proxyTarget(target: string | undefined): string | undefined {
  if (target === undefined || !URL.canParse(target)) return undefined;
  const { protocol, host, pathname, search, username } = new URL(target);
  const isServed = Object.hasOwn(proxied, host) && proxied[host]?.test(pathname) === true;
  return protocol === "https:" && username === "" && isServed
    ? toLocalPath(host, pathname + search)
    : undefined;
}

function toLocalPath(host: string, path: string): string {
  const prefix = Object.hasOwn(falHosts, host) ? (falHosts[host] ?? "") : "";
  return wellKnown.test(path) ? path : prefix + path;
}
