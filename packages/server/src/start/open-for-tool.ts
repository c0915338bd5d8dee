/** The database for a program beside the service: the one that runs, or the embedded one, started and stopped for the work. */
import { sql } from "kysely";
import { pino } from "pino";
import type { Config } from "../config/config.ts";
import { makeDataFolder } from "../config/data-folder.ts";
import { type Database, type DatabaseAddress, openDatabase } from "../db/database.ts";
import { EmbeddedPostgres } from "../postgres/embedded-postgres.ts";

const silent = pino({ level: "silent" });

/** Works on the database of this configuration. Its tables are as they are: nothing is migrated. */
export async function withDatabase<Result>(
  config: Config,
  work: (db: Database) => Promise<Result>,
): Promise<Result> {
  if (config.databaseUrl !== undefined) return connected(config.databaseUrl, work);
  makeDataFolder(config.home);
  const postgres = new EmbeddedPostgres(config.home, silent);
  if (await isRunning(postgres)) return connected(postgres.address, work);
  // One that is there but does not answer yet belongs to a service that starts.
  const isOurs = postgres.pid === undefined;
  await postgres.start();
  try {
    return await connected(postgres.address, work);
  } finally {
    if (isOurs) await postgres.stop();
  }
}

async function isRunning(postgres: EmbeddedPostgres): Promise<boolean> {
  if (postgres.pid === undefined) return false;
  try {
    await connected(postgres.address, (db) => sql`select`.execute(db));
    return true;
  } catch {
    return false;
  }
}

async function connected<Result>(
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
