/**
 * Restores a backup into an empty data folder and database.
 *
 * Bytes first, then the rows in one transaction: an interrupted restore leaves the database empty and can be run again.
 */
import { readFileSync } from "node:fs";
import { cp, lstat } from "node:fs/promises";
import { join } from "node:path";
import { AppError, BackupManifest, type BackupResult } from "@ltx-trainer/contract";
import { sql } from "kysely";
import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import type { Database } from "../db/database.ts";
import { migrate, refuseNewer } from "../db/migrate.ts";
import { DiskStore } from "../storage/stores/disk-store.ts";
import { backupPaths, type Progress, resultOf } from "./backup.ts";
import { advanceIdentities, readTable } from "./tables.ts";

type Target = {
  readonly db: Database;
  readonly config: Pick<Config, "home" | "storage">;
  readonly log: Logger;
};

/**
 * Restores a backup.
 *
 * @throws AppError `source_unsupported` when the folder is not a complete backup, `output_exists` when the database has keys or
 *   requests, `database_unusable` when a newer version made the backup, `file_unreadable` when it is damaged
 */
export async function restoreBackup(
  { db, config, log }: Target,
  folder: string,
  onProgress: Progress,
): Promise<BackupResult> {
  const manifest = readManifest(folder);
  refuseNewer(manifest.migrations);
  await migrate(db, log, manifest.migrations.at(-1));
  await refuseUsed(db);
  if (manifest.store === "disk") await restoreFiles(manifest, config, folder, onProgress);
  const { requests } = backupPaths(folder);
  if ((await kindOf(requests)) === "folder") await cp(requests, join(config.home, "requests"), withoutLinks);
  await restoreRows(db, manifest, folder, onProgress);
  await migrate(db, log);
  return resultOf(folder, manifest);
}

function readManifest(folder: string): BackupManifest {
  const { manifest } = backupPaths(folder);
  try {
    return BackupManifest.parse(JSON.parse(readFileSync(manifest, "utf8")));
  } catch (cause) {
    throw new AppError({
      code: "source_unsupported",
      message: `backup: got ${folder}, whose manifest.json is missing or unreadable; expected a folder that \`ltx-trainer backup\` wrote`,
      remedy: "An interrupted backup has no manifest. Use another backup.",
      cause,
    });
  }
}

async function refuseUsed(db: Database): Promise<void> {
  const { rows } = await sql<{ keys: number; requests: number }>`
    select (select count(*) from keys) as keys, (select count(*) from requests) as requests`.execute(db);
  const { keys = 0, requests = 0 } = rows[0] ?? {};
  if (keys + requests === 0) return;
  throw new AppError({
    code: "output_exists",
    message: `restore: the database already holds ${keys} keys and ${requests} requests; expected an empty one`,
    remedy: "Restore into a new data folder (--home), or an empty database in DATABASE_URL.",
    facts: { keys, requests },
  });
}

/** A link in a request's folder could lead the server out of it. Trainings need none to resume. */
const withoutLinks = {
  recursive: true,
  filter: async (path: string) => ["file", "folder"].includes((await kindOf(path)) ?? ""),
};

/** Does not follow links. Undefined for a missing path. */
async function kindOf(path: string): Promise<"file" | "folder" | "other" | undefined> {
  const status = await lstat(path).catch(() => undefined);
  if (status === undefined) return undefined;
  if (status.isFile()) return "file";
  return status.isDirectory() ? "folder" : "other";
}

function notPlain(path: string): AppError {
  return new AppError({
    code: "file_unreadable",
    message: `backup: ${path} is not a plain file; expected what \`ltx-trainer backup\` wrote`,
    remedy: "Use another backup, or another copy of this one. No rows were restored.",
  });
}

/** Restores all bytes, before the first row. */
async function restoreFiles(
  { file_bytes: total }: BackupManifest,
  { home, storage }: Target["config"],
  folder: string,
  onProgress: Progress,
): Promise<void> {
  if (storage.s3 !== undefined) {
    throw new AppError({
      code: "source_unsupported",
      message: "restore: the backup holds files, and S3_BUCKET is set; expected no bucket",
      remedy: "Restore without S3_BUCKET. The files stay on this machine's disk.",
    });
  }
  const from = new DiskStore(folder);
  const store = new DiskStore(home);
  let done = 0;
  for await (const { id, kind } of from.list()) {
    if (kind !== "file") continue;
    onProgress("files", done, total);
    const path = await from.locate(id);
    if ((await kindOf(path)) !== "file") throw notPlain(path);
    done += await store.adopt(id, path);
  }
  onProgress("files", total, total);
}

async function restoreRows(
  db: Database,
  { tables }: BackupManifest,
  folder: string,
  onProgress: Progress,
): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    for (const [index, table] of tables.entries()) {
      onProgress("database", index, tables.length);
      await sql`alter table ${sql.table(table.name)} disable trigger user`.execute(transaction);
      const read = await readTable(transaction, table.name, backupPaths(folder).table(table.name));
      if (read.sha256 !== table.sha256 || read.rows !== table.rows) throw damagedTable(folder, table.name);
      await advanceIdentities(transaction, table.name);
      await sql`alter table ${sql.table(table.name)} enable trigger user`.execute(transaction);
    }
    // No worker has them. They resume from their checkpoints.
    await sql`
      update requests set state = 'queued', worker_id = null, lease_id = null, lease_expires_at = null,
        claimed_at = null where state = 'running'`.execute(transaction);
    onProgress("database", tables.length, tables.length);
  });
}

function damagedTable(folder: string, table: string): AppError {
  return new AppError({
    code: "file_unreadable",
    message: `backup: ${backupPaths(folder).table(table)} is damaged: its rows do not match the manifest`,
    remedy: "Use another backup, or another copy of this one. Nothing was restored.",
  });
}
