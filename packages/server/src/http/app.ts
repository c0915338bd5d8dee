/** The HTTP side of the service: all routes, one error handler, one log line per response. */
import { type KeyObject, randomBytes } from "node:crypto";
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from "fastify";
import type { Logger } from "pino";
import { Authenticator } from "../access/authenticate.ts";
import { limitBodyTime } from "../body/body-deadline.ts";
import { skipBodyParsing } from "../body/body-stream.ts";
import { Memory } from "../body/gathered.ts";
import { parseJsonBodies, smallBodyBytes } from "../body/json-body.ts";
import { LargeBodies } from "../body/large-bodies.ts";
import { limitUnreadBodies } from "../body/unread-body.ts";
import type { Config } from "../config/config.ts";
import type { ChangeFeed } from "../db/change-feed.ts";
import type { Database } from "../db/database.ts";
import type { EndpointRegistry } from "../endpoints/registry.ts";
import type { ServiceHealth } from "../jobs/device/health.ts";
import { RequestQueue } from "../queue/request-queue.ts";
import { FileAccess } from "../storage/file-access.ts";
import type { Signer } from "../storage/signer.ts";
import type { FileStore } from "../storage/stores/file-store.ts";
import { mostParts, Uploads } from "../storage/uploads.ts";
import { addTokenRoutes } from "./access/token-routes.ts";
import { addWebhookKeyRoutes } from "./access/webhook-key-routes.ts";
import { requireAdmission } from "./admission.ts";
import { allowBrowsers } from "./cors.ts";
import { earlyErrors, handleErrors } from "./error-handler.ts";
import { addByteRoutes, addUploadRoutes } from "./files/cdn-routes.ts";
import { addFileRoutes } from "./files/file-routes.ts";
import { addStorageRoutes } from "./files/storage-routes.ts";
import { addHealthRoutes } from "./pages/health-routes.ts";
import { addHomePage } from "./pages/home-page.ts";
import { addMetricsRoutes } from "./pages/metrics-routes.ts";
import { addOpenApiRoutes } from "./pages/openapi-routes.ts";
import { limitPipelining } from "./pipelining.ts";
import { addAdminRoutes } from "./queue/admin-routes.ts";
import { addHistoryRoutes } from "./queue/history-routes.ts";
import { addQueueRoutes } from "./queue/queue-routes.ts";
import { addRunRoutes } from "./queue/run-routes.ts";
import { refuseProxyCalls, rewriteUrl } from "./rewrite-url.ts";

export type AppDeps = {
  readonly config: Config;
  readonly endpoints: EndpointRegistry;
  readonly log: Logger;
  readonly db: Database;
  readonly feed: ChangeFeed;
  readonly store: FileStore;
  readonly signer: Signer;
  /** State of the devices. */
  readonly health: ServiceHealth;
  /** Signs webhooks. */
  readonly webhookKey: KeyObject;
  /** Whether the server is stopping. */
  readonly isStopping: () => boolean;
};

/** Time limit of a body that is read into memory. */
const bodyTimeMs = 120_000;
/** Memory for bodies up to 1 MiB, all together. */
const smallBodiesBytes = 256 * 2 ** 20;

/** Creates the application, ready to listen. */
export async function createApp(deps: AppDeps): Promise<FastifyInstance> {
  const { config, endpoints, log, db, feed, store, signer } = deps;
  const app: FastifyInstance = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: callNames(),
    trustProxy: config.trustProxy,
    rewriteUrl: (request) => rewriteUrl(request, config.trustProxy),
    bodyLimit: Math.min(smallBodyBytes, config.maxBodyBytes),
    // The limit on a whole URL, so that our own 404 answers names that are too long.
    routerOptions: { maxParamLength: 16_384 },
    ...earlyErrors(config),
    // For uploads. Bodies in memory have less time; see `limitBodyTime`.
    requestTimeout: Math.ceil(config.storage.uploadSeconds * 1000),
    keepAliveTimeout: 75_000,
    forceCloseConnections: true,
  });
  limitConnections(app);
  // The body of a request without a route is never read.
  skipBodyParsing(app);
  handleErrors(app);
  logAnswers(app);
  await allowBrowsers(app, config);
  const authenticator = new Authenticator(db, log);
  const uploads = new Uploads({ db, store, config: config.storage });
  const access = new FileAccess(db, authenticator);
  const queue = new RequestQueue(db, feed, { uploads, limits: config.limits });
  const largeBodies = new LargeBodies(log);
  const memory = new Memory(smallBodiesBytes);
  app.addHook("onClose", async () => {
    queue.close();
    largeBodies.close();
  });
  requireAdmission(app);
  const files = { config, db, authenticator, store, signer, uploads, access };
  // Before the time limit, which does not apply to uploads.
  await app.register(async (scope) => addByteRoutes(scope, files));
  limitBodyTime(app, bodyTimeMs);
  addHealthRoutes(app, deps);
  addWebhookKeyRoutes(app, deps.webhookKey);
  addMetricsRoutes(app, { config, endpoints, db, authenticator, health: deps.health });
  addOpenApiRoutes(app, { config, endpoints });
  addHomePage(app, { config, endpoints });
  await app.register(async (scope) => {
    parseJsonBodies(scope, { memory, mostValues: 4 * mostParts });
    addUploadRoutes(scope, files);
  });
  await app.register(async (scope) => {
    parseJsonBodies(scope, { memory, largeBodies });
    addQueueRoutes(scope, "/queue", { config, endpoints, queue, authenticator });
    addRunRoutes(scope, "/run", { config, endpoints, queue, authenticator, log });
    addTokenRoutes(scope, "/rest/tokens", { db, authenticator });
    addAdminRoutes(scope, { db, queue, authenticator });
    addHistoryRoutes(scope, { config, endpoints, db, authenticator, store });
    addStorageRoutes(scope, "/rest/storage", files);
    addFileRoutes(scope, files);
    refuseProxyCalls(scope);
  });
  return app;
}

function limitConnections({ server }: FastifyInstance): void {
  limitUnreadBodies(server);
  limitPipelining(server);
}

/** Logs responses. Polls are frequent and say little, so they are logged at `debug`. */
function logAnswers(app: FastifyInstance): void {
  app.addHook("onResponse", async (request, reply) => {
    const level = request.method === "GET" && reply.statusCode < 500 ? "debug" : "info";
    const ms = Math.round(reply.elapsedTime * 10) / 10;
    request.log[level]({ req: request, status: reply.statusCode, ms }, "answered");
  });
}

/** Generates request ids for the log: random per start, then counted. A random id per poll would cost too much. */
function callNames(): () => string {
  const start = randomBytes(6).toString("hex");
  let count = 0;
  return () => `${start}-${(++count).toString(36)}`;
}
