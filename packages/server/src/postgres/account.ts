/**
 * Chooses the account that PostgreSQL runs under, and folders that this account can reach.
 *
 * PostgreSQL refuses to run as root. Under root it runs as `postgres`, or as `nobody` where that account is missing, in the
 * group that may enter the data folder. Neither may enter root's home, so data and programs there move to /var/lib.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import type { Account } from "@ltx-trainer/host";
import { trainerAccount } from "../config/data-folder.ts";

const sharedFolder = "/var/lib/ltx-trainer";

/**
 * Returns the account to run PostgreSQL under. Undefined: our own.
 *
 * @throws AppError `tool_missing` as root on a machine that has neither account
 */
export function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const entries = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  for (const wanted of ["postgres", "nobody"]) {
    const [, , uid, gid] = entries.find(([name]) => name === wanted) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: trainerAccount().gid };
  }
  throw new AppError({
    code: "tool_missing",
    message: "PostgreSQL: cannot run as root, and there is no account `postgres` or `nobody`",
    remedy: "Start the server as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own.",
  });
}

/**
 * Returns a folder that the account owns: `wanted`, or one under /var/lib when the account cannot reach it. A note in `wanted`
 * then names it. A folder under /var/lib that holds a database stays in use.
 */
export function ownedFolder(wanted: string, account: Account | undefined): string {
  mkdirSync(wanted, { recursive: true, mode: 0o700 });
  if (account === undefined) return wanted;
  const substitute = substituteFor(wanted);
  const isUsed = existsSync(join(substitute, "data")) && !existsSync(join(wanted, "data"));
  const folder = !isUsed && canEnter(dirname(wanted), account) ? wanted : substitute;
  if (folder === substitute) mkdirSync(sharedFolder, { recursive: true, mode: 0o755 });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chownSync(folder, account.uid, account.gid);
  const note = `The database of this data folder is in ${folder}.\n`;
  if (folder !== wanted) writeFileSync(join(wanted, "LOCATION.txt"), note);
  return folder;
}

/** Returns the folder of the programs: a copy under /var/lib when the account cannot reach them. */
export function reachablePrograms(folder: string, version: string, account: Account | undefined): string {
  if (account === undefined || canEnter(join(folder, "bin"), account)) return folder;
  const copy = join(sharedFolder, `postgresql-${version}`);
  if (existsSync(copy)) return copy;
  const beside = `${copy}.${process.pid}.tmp`;
  mkdirSync(sharedFolder, { recursive: true, mode: 0o755 });
  cpSync(folder, beside, { recursive: true, verbatimSymlinks: true });
  try {
    renameSync(beside, copy);
  } catch (error) {
    // Another server won the race. Its copy is the same.
    rmSync(beside, { recursive: true });
    if (!existsSync(copy)) throw error;
  }
  return copy;
}

/** Asks the system, because permissions depend on more than mode bits. */
function canEnter(folder: string, { uid, gid }: Account): boolean {
  const asked = spawnSync("/bin/sh", ["-c", 'cd "$1"', "sh", folder], {
    uid,
    gid,
    cwd: "/",
    stdio: "ignore",
  });
  return asked.status === 0;
}

function substituteFor(folder: string): string {
  const hash = createHash("sha256").update(folder).digest("hex").slice(0, 12);
  return join(sharedFolder, `${basename(folder)}-${hash}`);
}
