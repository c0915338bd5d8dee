/** The service in numbers: for Prometheus, and for holders of a key in a short form, which the page shows. Neither tells whose they are. */
import type { FastifyInstance } from "fastify";
import type { Authenticator } from "../access/authenticate.ts";
import type { Config } from "../config.ts";
import type { Database } from "../db/database.ts";
import { type Overview, readOverview } from "../db/overview.ts";
import type { ServiceHealth } from "../jobs/health.ts";
import { ServiceMetrics } from "../metrics.ts";
import { SharedReads } from "../queue/shared-reads.ts";

/** Counting reads whole tables; anybody may ask, and as often as they like. */
const overviewAgeMs = 2_000;

export function addMetricsRoutes(
  app: FastifyInstance,
  deps: {
    readonly config: Config;
    readonly db: Database;
    readonly authenticator: Authenticator;
    readonly health: ServiceHealth;
  },
): void {
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
  app.get("/metrics", async (_request, reply) =>
    reply
      .type(metrics.contentType)
      .send(await metrics.text(await overviews.get("all"), deps.health.broken.length)),
  );
  app.get("/overview", async (request, reply) => {
    await deps.authenticator.keyHolder(request.headers.authorization, "the overview");
    const { requests, devices } = await overviews.get("all");
    const { queued: waiting, running } = requests;
    return reply
      .header("cache-control", "no-store")
      .send({ endpoint: deps.config.endpoint, waiting, running, devices });
  });
}
