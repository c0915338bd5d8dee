/** Bringing the tables up to date: numbered steps, each once, one server at a time. */
import { type Migration, Migrator } from "kysely";
import type { Logger } from "pino";
import type { Database } from "./database.ts";
import * as access from "./migrations/0001-access.ts";
import * as requests from "./migrations/0002-requests.ts";
import * as files from "./migrations/0003-files.ts";
import * as webhooks from "./migrations/0004-webhooks.ts";
import * as storage from "./migrations/0005-storage.ts";
import * as history from "./migrations/0006-history.ts";

/** In order. A step that was released is never changed; a later one corrects it. */
const migrations: Readonly<Record<string, Migration>> = {
  "0001-access": access,
  "0002-requests": requests,
  "0003-files": files,
  "0004-webhooks": webhooks,
  "0005-storage": storage,
  "0006-history": history,
};

/**
 * Runs the steps that this database lacks, in one transaction and under a lock.
 *
 * @throws whatever went wrong; then nothing was changed
 */
export async function migrate(db: Database, log: Logger): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    migrationTableName: "ltx_migrations",
    migrationLockTableName: "ltx_migrations_lock",
  });
  const { error, results } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
  for (const { migrationName } of results ?? [])
    log.info({ migration: migrationName }, "database: step done");
}
