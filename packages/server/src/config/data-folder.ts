/**
 * Creates the data folder, closed to other accounts: it holds files, keys, and latents and captions of all users' clips.
 *
 * Under root, PostgreSQL and trainers run as their own accounts. Only their group may enter the folder.
 */
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import type { Account } from "@ltx-trainer/host";

/** Account of trainers, where it exists. */
const accountName = "ltx-trainer";
/** Fallback: a number outside the ranges that systems assign to people and, by default, to services. */
const unnamed: Account = { uid: 61_980, gid: 61_980 };

/** Returns the account of trainers under root. PostgreSQL runs in its group. */
export function trainerAccount(): Account {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${accountName}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  return uid === undefined || gid === undefined ? unnamed : { uid: Number(uid), gid: Number(gid) };
}

const ourNames = /^(postgres|files|files\.owner|parts|requests|cache|models|lock|home\.id|\..*)$/;

/**
 * Creates the data folder and closes it. A folder that holds other files keeps its mode, and so does one that another account
 * owns: a mounted volume may only be writable.
 *
 * @throws AppError `file_unreadable` when it cannot be created or written to
 */
export function makeDataFolder(home: string): void {
  try {
    const isNew = !existsSync(home);
    mkdirSync(home, { recursive: true, mode: 0o700 });
    accessSync(home, constants.R_OK | constants.W_OK | constants.X_OK);
    for (const path of ["files", "parts"].map((name) => join(home, name))) {
      if (existsSync(path) && isOwn(path)) chmodSync(path, 0o700);
    }
    if (isNew || (isOwn(home) && readdirSync(home).every((name) => ourNames.test(name)))) close(home);
  } catch (cause) {
    throw new AppError({
      code: "file_unreadable",
      message: `data folder: got ${home}, which is not writable (${(cause as NodeJS.ErrnoException).code}); expected a folder that this account may write to`,
      remedy: "Set LTX_TRAINER_HOME (or --home) to a folder that this account may write to.",
      facts: { home },
      cause,
    });
  }
}

/** Tells whether this account may change the mode. */
function isOwn(path: string): boolean {
  const account = process.geteuid?.();
  return account === 0 || statSync(path).uid === account;
}

function close(home: string): void {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) chownSync(home, 0, trainerAccount().gid);
  chmodSync(home, isRoot ? 0o710 : 0o700);
}
