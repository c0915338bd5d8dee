/** Opens the database for a command-line tool: the running one, or the embedded one, started and stopped around the work. */
import { sql } from "kysely";
import { pino } from "pino";
import type { Config } from "../config/config.ts";
import { makeDataFolder } from "../config/data-folder.ts";
import { type Database, type DatabaseAddress, openDatabase } from "../db/database.ts";
import { EmbeddedPostgres } from "../postgres/embedded-postgres.ts";

const silent = pino({ level: "silent" });

/** Runs `work` on the configured database, without migrating it. */
export async function withDatabase<Result>(
  config: Config,
  work: (db: Database) => Promise<Result>,
): Promise<Result> {
  if (config.databaseUrl !== undefined) return withConnection(config.databaseUrl, work);
  makeDataFolder(config.home);
  const postgres = new EmbeddedPostgres(config.home, silent);
  if (await isRunning(postgres)) return withConnection(postgres.address, work);
  // A process that does not accept connections yet belongs to a service that is starting.
  const isOurs = postgres.pid === undefined;
  await postgres.start();
  try {
    return await withConnection(postgres.address, work);
  } finally {
    if (isOurs) await postgres.stop();
  }
}

async function isRunning(postgres: EmbeddedPostgres): Promise<boolean> {
  if (postgres.pid === undefined) return false;
  try {
    await withConnection(postgres.address, (db) => sql`select`.execute(db));
    return true;
  } catch {
    return false;
  }
}

async function withConnection<Result>(
  address: DatabaseAddress,
  work: (db: Database) => Promise<Result>,
): Promise<Result> {
  const db = openDatabase(address, { connections: 2, log: silent });
  try {
    return await work(db);
  } finally {
    await db.destroy();
  }
}
