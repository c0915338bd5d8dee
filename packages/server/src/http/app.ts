/** The HTTP side of the service: every route, one error handler, one line of log an answer. */
import { type KeyObject, randomBytes } from "node:crypto";
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from "fastify";
import type { Logger } from "pino";
import { Authenticator } from "../access/authenticate.ts";
import type { Config } from "../config.ts";
import type { ChangeFeed } from "../db/change-feed.ts";
import type { Database } from "../db/database.ts";
import { RequestQueue } from "../queue/request-queue.ts";
import { handleErrors } from "./error-handler.ts";
import { addHealthRoutes } from "./health-routes.ts";
import { addHomePage } from "./home-page.ts";
import { parseJsonBodies } from "./json-body.ts";
import { addMetricsRoutes } from "./metrics-routes.ts";
import { addOpenApiRoutes } from "./openapi-routes.ts";
import { addQueueRoutes } from "./queue-routes.ts";
import { addWebhookKeyRoutes } from "./webhook-key-routes.ts";

export type AppDeps = {
  readonly config: Config;
  readonly log: Logger;
  readonly db: Database;
  readonly feed: ChangeFeed;
  /** Signs webhooks. */
  readonly webhookKey: KeyObject;
  /** Whether the server is on its way out. */
  readonly isStopping: () => boolean;
};

/** The application, ready to listen. */
export async function createApp(deps: AppDeps): Promise<FastifyInstance> {
  const { config, log, db, feed } = deps;
  const app: FastifyInstance = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: callNames(),
    trustProxy: config.trustProxy,
    bodyLimit: config.maxBodyBytes,
    // Slow bodies and slow headers end here; uploads set a longer time of their own.
    requestTimeout: 120_000,
    keepAliveTimeout: 75_000,
    forceCloseConnections: true,
  });
  handleErrors(app);
  logAnswers(app);
  const authenticator = new Authenticator(db);
  const queue = new RequestQueue(db, feed);
  addHealthRoutes(app, deps);
  addWebhookKeyRoutes(app, deps.webhookKey);
  addMetricsRoutes(app, { config, db });
  addOpenApiRoutes(app, config);
  addHomePage(app, config);
  await app.register(async (scope) => {
    parseJsonBodies(scope);
    addQueueRoutes(scope, "/queue", { config, queue, authenticator });
  });
  return app;
}

/** Polling comes by the thousand and says nothing: it is told at a level nobody reads by default. */
function logAnswers(app: FastifyInstance): void {
  app.addHook("onResponse", async (request, reply) => {
    const level = request.method === "GET" && reply.statusCode < 500 ? "debug" : "info";
    const ms = Math.round(reply.elapsedTime * 10) / 10;
    request.log[level]({ req: request, status: reply.statusCode, ms }, "answered");
  });
}

/** Names for calls, to find them in the log: random for each start, then counted. Polls are too many for a random name each. */
function callNames(): () => string {
  const start = randomBytes(6).toString("hex");
  let count = 0;
  return () => `${start}-${(++count).toString(36)}`;
}
