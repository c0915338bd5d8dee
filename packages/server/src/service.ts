/** Starts the whole service (database, HTTP, webhooks, supervisor) in order, and stops it in reverse. */
import { AppError } from "@ltx-trainer/contract";
import type { FastifyInstance } from "fastify";
import type { Logger } from "pino";
import { countKeys, createKey, defaultUser } from "./access/keys.ts";
import type { Config } from "./config/config.ts";
import { makeDataFolder } from "./config/data-folder.ts";
import { ChangeFeed } from "./db/change-feed.ts";
import { type Database, type DatabaseAddress, openDatabase } from "./db/database.ts";
import { migrate } from "./db/migrate.ts";
import { persistently } from "./db/persist.ts";
import { type EndpointRegistry, makeEndpoints } from "./endpoints/registry.ts";
import { createApp } from "./http/app.ts";
import { Confinement } from "./jobs/confine/confinement.ts";
import { ServiceHealth } from "./jobs/device/health.ts";
import { readHomeId } from "./jobs/home-id.ts";
import { Retention } from "./jobs/retention.ts";
import { Supervisor } from "./jobs/supervisor.ts";
import { EmbeddedPostgres } from "./postgres/embedded-postgres.ts";
import { explainStartFailure } from "./start/start-errors.ts";
import { Signer } from "./storage/signer.ts";
import { DiskStore } from "./storage/stores/disk-store.ts";
import type { FileStore } from "./storage/stores/file-store.ts";
import { WebhookSender } from "./webhooks/deliver.ts";
import { signingKey } from "./webhooks/sign.ts";

export type Service = {
  /** Address it listens on: `http://127.0.0.1:8000`. */
  readonly url: string;
  /** The key created at the first start. It is not shown again. */
  readonly firstKey: string | undefined;
  /** Drains trainings (checkpoint, then back to the queue) and stops. */
  stop(): Promise<void>;
};

/**
 * Starts the service. When this resolves, it answers requests.
 *
 * @param endpoints default: all that this package has
 * @throws AppError when something it needs is missing. Nothing is left running then
 */
export async function startService(
  config: Config,
  log: Logger,
  endpoints: EndpointRegistry = makeEndpoints(config),
): Promise<Service> {
  const undo: (() => Promise<unknown>)[] = [];
  let isStopping = false;
  const stop = async () => {
    isStopping = true;
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    makeDataFolder(config.home);
    const address = await databaseAddress(config, log, undo);
    const db = openDatabase(address, { connections: config.databaseConnections, log });
    undo.push(() => db.destroy());
    await persistently(
      () => migrate(db, log),
      (error) => log.warn({ err: error }, "database: not reachable yet, retrying for up to 20 s"),
    );
    const firstKey = await firstKeyOf(db, config);
    const feed = new ChangeFeed(address, log);
    await persistently(() => feed.open());
    undo.push(() => feed.close());
    void warnWithoutNotifications(feed, db, log);
    const store = await openStore(config);
    const signer = await Signer.open(db);
    const key = await signingKey(db);
    const health = new ServiceHealth(config.devices);
    const app = await createApp({
      ...{ config, endpoints, log, db, feed, store, signer, health },
      webhookKey: key,
      isStopping: () => isStopping,
    });
    const url = await app.listen({ host: config.host, port: config.port });
    undo.push(() => app.close());
    const webhooks = new WebhookSender({ db, feed, log, key, config: config.webhooks });
    webhooks.start();
    undo.push(() => webhooks.stop());
    const retention = new Retention({ db, store, signer, config, log });
    retention.start();
    undo.push(() => retention.stop());
    const supervisor = new Supervisor({
      ...{ db, store, signer, config, endpoints, log, feed, address, health },
      homeId: readHomeId(config.home),
      confinement: Confinement.find(config, log),
    });
    await supervisor.start();
    // Drain before HTTP closes: clients can still see the requests go back to the queue.
    undo.push(() => supervisor.drain());
    return { url: displayUrl(app, url), firstKey, stop };
  } catch (error) {
    await stop();
    throw explainStartFailure(error, config);
  }
}

/** Timeout of a notification at startup, on a busy machine. */
const notificationMs = 5_000;

/** Warns when notifications do not arrive. The service then polls, which is slower and still correct: best effort. */
async function warnWithoutNotifications(feed: ChangeFeed, db: Database, log: Logger): Promise<void> {
  try {
    if (await feed.receivesNotifications(db, notificationMs)) return;
  } catch {
    // A lost database connection is logged elsewhere.
    return;
  }
  if (feed.isClosed) return;
  log.warn(
    "database: notifications do not arrive, changes are seen up to 10 s late; if DATABASE_URL points to a pooler in transaction mode (pgbouncer), use session mode or a direct connection",
  );
}

async function openStore({ home, storage }: Config): Promise<FileStore> {
  if (storage.s3 === undefined) return new DiskStore(home);
  const { S3Store } = await import("./storage/stores/s3-store.ts");
  return S3Store.open(storage.s3);
}

async function databaseAddress(
  config: Config,
  log: Logger,
  undo: (() => Promise<unknown>)[],
): Promise<DatabaseAddress> {
  if (config.databaseUrl !== undefined) return config.databaseUrl;
  const postgres = new EmbeddedPostgres(config.home, log, { connections: config.databaseConnections });
  undo.push(() => postgres.stop());
  await postgres.start();
  log.info({ folder: postgres.folder }, "database: embedded PostgreSQL");
  if (postgres.isElsewhere) {
    log.warn(
      { folder: postgres.folder, home: config.home },
      "database: outside the data folder, which PostgreSQL's account cannot enter; back up with `ltx-trainer backup`",
    );
  }
  return postgres.address;
}

/**
 * Creates the first key, of scope `api`, on a server without keys.
 *
 * @throws AppError when other machines reach the address: a key must not be printed to the console there
 */
async function firstKeyOf(db: Database, config: Config): Promise<string | undefined> {
  if ((await countKeys(db)) > 0) return undefined;
  if (!isLoopback(config.host)) {
    throw new AppError({
      code: "invalid_options",
      message: `HOST: got ${config.host}, which other machines reach, but no key exists; expected 127.0.0.1 or a key`,
      remedy: "Create one first: ltx-trainer keys create --scope admin",
    });
  }
  return (await createKey(db, { name: "first", userId: defaultUser, scope: "api" })).key;
}

function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|::1)$/.test(host);
}

/** Prefers `localhost` to a loopback address. */
function displayUrl(app: FastifyInstance, url: string): string {
  const address = app.server.address();
  if (address === null || typeof address === "string") return url;
  return isLoopback(address.address) ? `http://localhost:${address.port}` : url;
}
