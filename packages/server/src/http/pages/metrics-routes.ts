/**
 * Metrics for Prometheus, and a short overview for key holders, which the page shows. Neither names users.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { statfs } from "node:fs/promises";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Authenticator } from "../../access/authenticate.ts";
import type { Config } from "../../config/config.ts";
import type { Database } from "../../db/database.ts";
import { type Overview, readOverview } from "../../db/requests/overview.ts";
import type { EndpointRegistry } from "../../endpoints/registry.ts";
import type { ServiceHealth } from "../../jobs/device/health.ts";
import { ServiceMetrics } from "../../metrics.ts";
import { SharedReads } from "../../wire/shared-reads.ts";
import { WireError } from "../../wire/wire-error.ts";

/** Counting reads whole tables, and callers may poll without a limit. */
const overviewAgeMs = 2_000;

export type MetricsRouteDeps = {
  readonly config: Config;
  readonly endpoints: EndpointRegistry;
  readonly db: Database;
  readonly authenticator: Authenticator;
  readonly health: ServiceHealth;
};

export function addMetricsRoutes(app: FastifyInstance, deps: MetricsRouteDeps): void {
  const metrics = new ServiceMetrics();
  const overviews = new SharedReads<Overview>({
    maxAgeMs: overviewAgeMs,
    read: () => readOverview(deps.db, deps.config.leaseSeconds),
  });
  app.addHook("onResponse", async (request, reply) => {
    metrics.count({
      method: request.method,
      route: request.routeOptions.url ?? "none",
      status: reply.statusCode,
      seconds: reply.elapsedTime / 1000,
    });
  });
  app.get("/metrics", async (request, reply) => {
    await refuseOthers(request, deps);
    const [overview, disk] = await Promise.all([overviews.get("all"), diskState(deps.config)]);
    const text = await metrics.text(overview, {
      endpoints: deps.endpoints.names,
      brokenDevices: deps.health.broken.length,
      disk,
    });
    return reply.type(metrics.contentType).send(text);
  });
  app.get("/overview", async (request, reply) => {
    await deps.authenticator.keyHolder(request.headers.authorization, "the overview");
    const { requests, devices } = await overviews.get("all");
    const { queued: waiting, running } = requests;
    return reply
      .header("cache-control", "no-store")
      .send({ endpoint: deps.endpoints.primary.name, waiting, running, devices });
  });
}

/** @throws WireError 401 or 403 for a caller with neither METRICS_KEY nor an administrator's key */
async function refuseOthers(
  { headers }: FastifyRequest,
  { config, authenticator }: MetricsRouteDeps,
): Promise<void> {
  const [, given] = /^bearer\s+(\S+)\s*$/i.exec(headers.authorization ?? "") ?? [];
  if (given === undefined) {
    await authenticator.administrator(headers.authorization, "the metrics");
    return;
  }
  if (config.metricsKey !== undefined && isSame(given, config.metricsKey)) return;
  throw new WireError(401, {
    detail: "Cannot access the metrics: expected METRICS_KEY as the bearer, or a key of scope admin",
  });
}

/** Compares in constant time, for any lengths. */
function isSame(given: string, expected: string): boolean {
  const [a, b] = [given, expected].map((text) => createHash("sha256").update(text).digest());
  return a !== undefined && b !== undefined && timingSafeEqual(a, b);
}

async function diskState({ home, storage }: Config) {
  const { bavail, bsize } = await statfs(home);
  return { freeBytes: bavail * bsize, reserveBytes: storage.diskReserveBytes };
}
