/**
 * The data folder, closed to other accounts: it holds latents and captions of everybody's clips, files and keys.
 *
 * Under root PostgreSQL and trainers have accounts of their own. Their group may pass through the folder, and no other.
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

/** An account of this name is used where it exists. */
const accountName = "ltx-trainer";
/** Where it does not: a number that systems give neither to people nor, by default, to services. */
const unnamed: Account = { uid: 61_980, gid: 61_980 };

/** The account that trainers have under root. Its group is PostgreSQL's as well. */
export function trainerAccount(): Account {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${accountName}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  return uid === undefined || gid === undefined ? unnamed : { uid: Number(uid), gid: Number(gid) };
}

const ourNames = /^(postgres|files|files\.owner|parts|requests|cache|models|lock|home\.id|\..*)$/;

/**
 * Makes the data folder and closes it. One that holds other things than ours keeps its mode, and so does one that another
 * account owns: a volume that is mounted for us may only be writable.
 *
 * @throws AppError `file_unreadable` when it cannot be made or written to
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
      message: `data folder: got ${home}, which cannot be written to (${(cause as NodeJS.ErrnoException).code}); expected a folder of this account's`,
      remedy: "Set LTX_TRAINER_HOME (or --home) to a folder that this account may write to.",
      facts: { home },
      cause,
    });
  }
}

/** Whether this account may change the mode. */
function isOwn(path: string): boolean {
  const account = process.geteuid?.();
  return account === 0 || statSync(path).uid === account;
}

function close(home: string): void {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) chownSync(home, 0, trainerAccount().gid);
  chmodSync(home, isRoot ? 0o710 : 0o700);
}
