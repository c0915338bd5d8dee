/**
 * Program that makes and restores backups: `<backup or restore> <options as JSON>`.
 *
 * Progress goes to stderr. The last line of stdout is one JSON object, the result or `{"error": ...}`.
 */
import { resolve } from "node:path";
import {
  AppError,
  type BackupAction,
  BackupOptions,
  type BackupResult,
  exitCodes,
  parseOptions,
  toAppError,
} from "@ltx-trainer/contract";
import { readConfig } from "../config/config.ts";
import { makeLogger } from "../log.ts";
import { withDatabase } from "../start/open-for-tool.ts";
import { explainStartFailure } from "../start/start-errors.ts";
import { makeBackup } from "./backup.ts";
import { makeProgress } from "./progress.ts";
import { restoreBackup } from "./restore.ts";

const log = makeLogger("silent");

async function run(action: string, options: string): Promise<BackupResult> {
  const folder = resolve(parseOptions(BackupOptions, JSON.parse(options)).folder);
  const config = readConfig(process.env);
  const onProgress = makeProgress(process.stderr);
  const actions: Record<BackupAction, () => Promise<BackupResult>> = {
    backup: () => withDatabase(config, (db) => makeBackup({ db, config }, folder, onProgress)),
    restore: () => withDatabase(config, (db) => restoreBackup({ db, config, log }, folder, onProgress)),
  };
  try {
    return await actions[action as BackupAction]();
  } catch (error) {
    throw explainFailure(error, folder) ?? explainStartFailure(error, config);
  }
}

function explainFailure(error: unknown, folder: string): AppError | undefined {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC") {
    const remedy = "Free some space there, or name a folder on another disk.";
    return new AppError({
      code: "disk_full",
      message: `disk full: ${message}`,
      remedy,
      facts: { folder },
      cause: error,
    });
  }
  if (!["EACCES", "EROFS", "ENOTDIR", "EPERM"].includes(code ?? "")) return undefined;
  return new AppError({ code: "file_unreadable", message: `${folder}: ${message}`, cause: error });
}

// process.exit runs the exit handlers, which remove a half-written backup.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => process.exit(exitCodes.interrupted));
}
try {
  const [action = "", options = "{}"] = process.argv.slice(2);
  console.log(JSON.stringify(await run(action, options)));
} catch (error) {
  const failure = toAppError(error);
  if (failure.kind === "internal") console.error(failure.cause);
  console.log(JSON.stringify({ error: failure.toJSON() }));
  process.exitCode = failure.exitCode;
}
