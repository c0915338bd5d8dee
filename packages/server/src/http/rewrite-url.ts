/**
 * Addresses of the hosted service become ours before anything else looks at them.
 *
 * Two ways lead here. fal's JS client sends everything to one address of a proxy, and in a header where it should go; the
 * target is never fetched, it only names a route of ours. And whoever reaches us under fal's own host names, through DNS or
 * a proxy, asks for paths of those hosts.
 *
 * Source: fal-ai/fal-js@381105e, `libs/client/src/middleware.ts`, `libs/proxy/src/index.ts` (which targets are allowed;
 * ours allows uploads in parts and tokens as well).
 */
import type { IncomingHttpHeaders } from "node:http";
import type { FastifyInstance } from "fastify";
import { falHosts } from "../wire/public-urls.ts";
import { WireError } from "../wire/wire-error.ts";

/** Where the JS client's `proxyUrl` points. */
const proxyPath = "/api/fal/proxy";

const targetHeader = "x-fal-target-url";

/** What the proxy may be asked for, host by host. */
const proxied: Readonly<Record<string, RegExp>> = {
  "queue.fal.run": /^\/./,
  "fal.run": /^\/./,
  "rest.fal.ai": /^\/(storage|tokens)(\/|$)/,
  "rest.alpha.fal.ai": /^\/(storage|tokens)(\/|$)/,
  "fal.media": /^\/files\//,
  "v3.fal.media": /^\/files\//,
  "v3b.fal.media": /^\/files\//,
};

/** Part of hosts' own that is one of ours as well. */
const wellKnown = /^\/\.well-known\//;

type Incoming = { readonly url?: string | undefined; readonly headers: IncomingHttpHeaders };

/**
 * The address on this server that a request means.
 *
 * A request to the proxy without a target, or with one that it does not serve, keeps its address: the route there refuses.
 *
 * @param trustsProxy whether `X-Forwarded-Host` counts
 */
export function rewriteUrl({ url = "/", headers }: Incoming, trustsProxy: boolean): string {
  if (isProxyCall(url)) return proxyTarget([headers[targetHeader]].flat()[0]) ?? url;
  const forwarded = trustsProxy ? [headers["x-forwarded-host"]].flat()[0] : undefined;
  const host = (forwarded ?? headers.host ?? "").toLowerCase();
  return url.startsWith("/") ? onOurSide(host, url) : url;
}

/** The route for calls to the proxy that lead nowhere. Source: fal-ai/fal-js@381105e, `libs/proxy/src/index.ts`. */
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
    ? onOurSide(host, pathname + search)
    : undefined;
}

function onOurSide(host: string, path: string): string {
  const prefix = Object.hasOwn(falHosts, host) ? (falHosts[host] ?? "") : "";
  return wellKnown.test(path) ? path : prefix + path;
}
