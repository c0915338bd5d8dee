/** Where the project's programs and the user's data folder are on this machine. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { AppError } from "@ltx-trainer/contract";

/** The folder that holds our packages. The same from `src` and from `dist`: both lie two folders below it. */
export const packagesFolder: string = fileURLToPath(new URL("../../", import.meta.url));

export const repositoryFolder: string = resolve(packagesFolder, "..");

/**
 * The program that loads libtorch; `LTX_TRAINER_PROGRAM` names another one, for tests.
 *
 * @throws AppError `tool_missing` before the first build
 */
export function trainerProgram(): string {
  return built(process.env.LTX_TRAINER_PROGRAM ?? join(packagesFolder, "trainer/dist/main.js"), "trainer");
}

/** What a trainer opens besides its job's own files: its program, the addon, and the bundled base models. */
export function trainerFiles(): string[] {
  const addon = process.env.LTX_TRAINER_ADDON ?? join(packagesFolder, "torch/build/ltx_torch.node");
  return [trainerProgram(), addon, join(repositoryFolder, "models")];
}

/**
 * The program that is the service.
 *
 * @throws AppError `tool_missing` before the first build
 */
export function serverProgram(): string {
  return built(join(packagesFolder, "server/dist/main.js"), "server");
}

/**
 * The program that makes, lists and revokes keys.
 *
 * @throws AppError `tool_missing` before the first build
 */
export function keysProgram(): string {
  return built(join(packagesFolder, "server/dist/access/keys-main.js"), "server");
}

/**
 * The program that backs the service up and restores it.
 *
 * @throws AppError `tool_missing` before the first build
 */
export function backupProgram(): string {
  return built(join(packagesFolder, "server/dist/backup/backup-main.js"), "server");
}

/**
 * Absolute path of the data folder: the one given, else `LTX_TRAINER_HOME`, else `~/.ltx-trainer`.
 *
 * @throws AppError `invalid_options` for an account without a home
 */
export function homeFolder(given?: string): string {
  return resolve(given ?? process.env.LTX_TRAINER_HOME ?? join(accountHome(), ".ltx-trainer"));
}

function accountHome(): string {
  try {
    const home = homedir();
    if (home !== "") return home;
  } catch {
    // The system knows no such account, as in a container that runs under a number.
  }
  throw new AppError({
    code: "invalid_options",
    message: `data folder: account ${process.getuid?.()} has no home, and none was given`,
    remedy: "Set LTX_TRAINER_HOME (or --home) to a folder that this account may write to.",
  });
}

function built(path: string, name: string): string {
  if (existsSync(path)) return path;
  throw new AppError({
    code: "tool_missing",
    message: `${path}: the ${name} is not built`,
    remedy: `Run \`npm run setup\` in ${repositoryFolder}.`,
    facts: { path },
  });
}
