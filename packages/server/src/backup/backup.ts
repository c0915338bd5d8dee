/**
 * A backup: one folder with the tables, the bytes of files, and the folders of requests that have not ended.
 *
 * The tables are read in one snapshot. The service may run meanwhile. Stored bytes never change, so they are copied after it.
 * The manifest is written last: a folder without one is not a backup.
 */
import { constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { copyFile, cp, lstat, mkdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AppError, type BackupManifest, type BackupResult } from "@ltx-trainer/contract";
import { writeDurably } from "@ltx-trainer/host";
import { sql } from "kysely";
import type { Config } from "../config/config.ts";
import type { Database } from "../db/database.ts";
import { appliedMigrations } from "../db/migrate.ts";
import { RequestFolder } from "../jobs/confine/request-folder.ts";
import { DiskStore } from "../storage/stores/disk-store.ts";
import { backedUpTables, writeTable } from "./tables.ts";

/** Names inside a backup. */
export const backupPaths = (folder: string) => ({
  manifest: join(folder, "manifest.json"),
  table: (name: string) => join(folder, "database", `${name}.jsonl.gz`),
  file: (id: string) => join(folder, "files", id.slice(-2), id),
  requests: join(folder, "requests"),
});

/** Called with the progress so far. */
export type Progress = (title: string, done: number, total: number) => void;

type Source = { readonly db: Database; readonly config: Pick<Config, "home" | "storage"> };

/**
 * Writes a backup into a new folder.
 *
 * @throws AppError `output_exists` when the folder is not empty, `database_unusable` when the database has no tables
 */
export async function makeBackup(
  { db, config }: Source,
  folder: string,
  onProgress: Progress,
): Promise<BackupResult> {
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    throw new AppError({
      code: "output_exists",
      message: `backup: got ${folder}, which is not empty; expected a new or empty folder`,
      remedy: "Choose another folder, for example one with today's date.",
    });
  }
  const beside = join(dirname(folder), `.${basename(folder)}.${process.pid}.tmp`);
  const removeHalf = () => rmSync(beside, { recursive: true, force: true });
  process.once("exit", removeHalf);
  try {
    mkdirSync(join(beside, "database"), { recursive: true, mode: 0o700 });
    const manifest = await writeEverything({ db, config }, beside, onProgress);
    writeDurably(backupPaths(beside).manifest, `${JSON.stringify(manifest, null, 2)}\n`, 0o600);
    renameSync(beside, folder);
    return resultOf(folder, manifest);
  } finally {
    removeHalf();
    process.off("exit", removeHalf);
  }
}

async function writeEverything(
  { db, config }: Source,
  folder: string,
  onProgress: Progress,
): Promise<BackupManifest> {
  const store = config.storage.s3 === undefined ? "disk" : "bucket";
  const snapshot = await writeTables(db, folder, onProgress);
  const copied =
    store === "disk" ? await copyFiles(snapshot.files, config.home, folder, onProgress) : noFiles;
  await copyRequestFolders(snapshot.unfinished, config.home, folder);
  return {
    format: "ltx-trainer-backup",
    version: 1,
    made_at: new Date().toISOString(),
    migrations: snapshot.migrations,
    tables: snapshot.tables,
    store,
    ...copied,
  };
}

type FileRow = { readonly id: string; readonly size_bytes: number };

/** Writes the tables and reads everything else from the database, in one snapshot. */
function writeTables(db: Database, folder: string, onProgress: Progress) {
  return db
    .transaction()
    .setIsolationLevel("repeatable read")
    .execute(async (transaction) => {
      const migrations = await appliedMigrations(transaction);
      if (migrations.length === 0) throw emptyDatabase();
      const tables: BackupManifest["tables"] = [];
      for (const [index, name] of backedUpTables.entries()) {
        onProgress("database", index, backedUpTables.length);
        const written = await writeTable(transaction, name, backupPaths(folder).table(name));
        tables.push({ name, ...written });
      }
      onProgress("database", backedUpTables.length, backedUpTables.length);
      const { rows: files } = await sql<FileRow>`
        select id, size_bytes from files where state = 'complete'`.execute(transaction);
      const { rows: unfinished } = await sql<{ id: string }>`
        select id from requests where finished_at is null`.execute(transaction);
      return { migrations, tables, files, unfinished: unfinished.map(({ id }) => id) };
    });
}

const noFiles = { files: 0, file_bytes: 0, missing_files: 0 };

async function copyFiles(files: readonly FileRow[], home: string, folder: string, onProgress: Progress) {
  const store = new DiskStore(home);
  const total = files.reduce((sum, { size_bytes }) => sum + size_bytes, 0);
  const copied = { ...noFiles };
  for (const { id, size_bytes } of files) {
    onProgress("files", copied.file_bytes, total);
    const path = backupPaths(folder).file(id);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    try {
      await copyFile(await store.locate(id), path, constants.COPYFILE_FICLONE);
    } catch (error) {
      // Deleted since the snapshot.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      copied.missing_files++;
      continue;
    }
    copied.files++;
    copied.file_bytes += size_bytes;
  }
  onProgress("files", total, total);
  return copied;
}

/** Copies checkpoints and unpublished LoRAs. Files that change meanwhile are copied as found. */
async function copyRequestFolders(ids: readonly string[], home: string, folder: string): Promise<void> {
  for (const id of ids) {
    const { path } = new RequestFolder(home, id);
    if (!existsSync(path)) continue;
    const target = join(backupPaths(folder).requests, id);
    const options = { recursive: true, mode: constants.COPYFILE_FICLONE, filter: isPlain };
    await cp(path, target, options).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    });
  }
}

/** Skips links and pipes, which only a hostile trainer leaves. */
async function isPlain(path: string): Promise<boolean> {
  const status = await lstat(path).catch(() => undefined);
  return status !== undefined && (status.isFile() || status.isDirectory());
}

/** Returns the summary of a backup. */
export function resultOf(folder: string, manifest: BackupManifest): BackupResult {
  const rowsOf = (table: string) => manifest.tables.find(({ name }) => name === table)?.rows ?? 0;
  const { files, file_bytes, missing_files, store } = manifest;
  return {
    folder,
    keys: rowsOf("keys"),
    requests: rowsOf("requests"),
    files,
    file_bytes,
    missing_files,
    store,
  };
}

function emptyDatabase(): AppError {
  return new AppError({
    code: "database_unusable",
    message: "backup: the database has no tables, so there is nothing to back up",
    remedy: "Name the data folder with --home, or the database with DATABASE_URL.",
  });
}
