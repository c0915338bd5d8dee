/** Whether the process lives, and whether it can work: for whatever starts and watches it. */
import type { FastifyInstance } from "fastify";
import { sql } from "kysely";
import type { Database } from "../db/database.ts";

export function addHealthRoutes(
  app: FastifyInstance,
  deps: { readonly db: Database; readonly isStopping: () => boolean },
): void {
  app.get("/healthz", async () => ({ status: "ok" }));
  app.get("/readyz", async (request, reply) => {
    if (deps.isStopping()) return reply.code(503).send({ status: "stopping" });
    try {
      await sql`select from requests limit 0`.execute(deps.db);
      return { status: "ready" };
    } catch (error) {
      request.log.warn({ err: error }, "not ready: the database does not answer");
      return reply.code(503).send({ status: "database unavailable" });
    }
  });
}
