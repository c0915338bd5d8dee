/** Migrates the tables: numbered steps, each once, one server at a time. */
import { AppError } from "@ltx-trainer/contract";
import { type Migration, Migrator, sql } from "kysely";
import type { Logger } from "pino";
import type { Database } from "./database.ts";
import * as access from "./migrations/0001-access.ts";
import * as requests from "./migrations/0002-requests.ts";
import * as files from "./migrations/0003-files.ts";
import * as webhooks from "./migrations/0004-webhooks.ts";
import * as storage from "./migrations/0005-storage.ts";
import * as history from "./migrations/0006-history.ts";
import * as webhookShares from "./migrations/0007-webhook-shares.ts";
import * as recovery from "./migrations/0008-recovery.ts";
import * as quotas from "./migrations/0009-quotas.ts";
import * as logLimits from "./migrations/0010-log-limits.ts";

/** In order. A released step never changes. A later one corrects it. */
const migrations: Readonly<Record<string, Migration>> = {
  "0001-access": access,
  "0002-requests": requests,
  "0003-files": files,
  "0004-webhooks": webhooks,
  "0005-storage": storage,
  "0006-history": history,
  "0007-webhook-shares": webhookShares,
  "0008-recovery": recovery,
  "0009-quotas": quotas,
  "0010-log-limits": logLimits,
};

/**
 * Runs the missing steps in one transaction, under a lock.
 *
 * @param upTo the last step to run. Default: all
 * @throws AppError `database_unusable` for tables of a newer version of this program; any other failure. Nothing has changed
 * then.
 */
export async function migrate(db: Database, log: Logger, upTo?: string): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    migrationTableName: "ltx_migrations",
    migrationLockTableName: "ltx_migrations_lock",
  });
  refuseNewer(await appliedMigrations(db));
  const { error, results } =
    upTo === undefined ? await migrator.migrateToLatest() : await migrator.migrateTo(upTo);
  if (error !== undefined) throw error;
  for (const { migrationName } of results ?? []) log.info({ migration: migrationName }, "database: migrated");
}

/** @throws AppError `database_unusable` for steps that this program lacks */
export function refuseNewer(names: readonly string[]): void {
  const unknown = names.filter((name) => !Object.hasOwn(migrations, name));
  if (unknown.length === 0) return;
  throw new AppError({
    code: "database_unusable",
    message: `database: got tables of a newer version of this program (${unknown.join(", ")}); expected none after ${Object.keys(migrations).at(-1)}`,
    remedy: "Update this program, or restore a backup that was made before the newer version ran.",
    facts: { unknown },
  });
}

/** Returns the steps that the database has, in order. */
export async function appliedMigrations(db: Database): Promise<string[]> {
  const { rows: tables } = await sql<{ name: string | null }>`
    select to_regclass('ltx_migrations')::text as name`.execute(db);
  if ((tables[0]?.name ?? null) === null) return [];
  const { rows } = await sql<{ name: string }>`select name from ltx_migrations order by name`.execute(db);
  return rows.map(({ name }) => name);
}
