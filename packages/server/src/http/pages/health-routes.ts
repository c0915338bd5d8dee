/** Liveness and readiness, for process supervisors and load balancers. */
import type { FastifyInstance } from "fastify";
import { sql } from "kysely";
import type { Config } from "../../config/config.ts";
import type { Database } from "../../db/database.ts";
import type { ServiceHealth } from "../../jobs/device/health.ts";
import { diskFault, storeFault } from "../../jobs/device/probe.ts";
import type { FileStore } from "../../storage/stores/file-store.ts";
import { SharedReads } from "../../wire/shared-reads.ts";

type HealthDeps = {
  readonly config: Config;
  readonly db: Database;
  readonly store: FileStore;
  readonly health: ServiceHealth;
  readonly isStopping: () => boolean;
};

/** These routes are public and unlimited, and each check writes a file and calls the store. */
const lookAgeMs = 2_000;

export function addHealthRoutes(app: FastifyInstance, deps: HealthDeps): void {
  const faults = new SharedReads<string | undefined>({
    maxAgeMs: lookAgeMs,
    read: async () => {
      const fault = (await diskFault(deps.config)) ?? (await storeFault(deps.store));
      if (fault !== undefined)
        app.log.warn({ reason: fault.reason, detail: fault.detail }, "readiness: failed");
      return fault?.reason;
    },
  });
  app.get("/healthz", async () => ({ status: "ok" }));
  app.get("/readyz", async (request, reply) => {
    if (deps.isStopping()) return reply.code(503).send({ status: "stopping" });
    try {
      await sql`select from requests limit 0`.execute(deps.db);
    } catch (error) {
      request.log.warn({ err: error }, "readiness: database unreachable");
      return reply.code(503).send({ status: "database unavailable" });
    }
    const fault = await faults.get("all");
    if (fault !== undefined) return reply.code(503).send({ status: fault });
    const { broken, isAnyDeviceFit } = deps.health;
    if (broken.length === 0) return { status: "ready" };
    const status = isAnyDeviceFit ? "ready, but not every device works" : "no device works";
    return reply.code(isAnyDeviceFit ? 200 : 503).send({ status, devices: broken });
  });
}
