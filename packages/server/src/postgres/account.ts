/**
 * Under which account PostgreSQL runs, and where that account can reach it.
 *
 * PostgreSQL refuses to run as root. As root it runs as `postgres`, or on a machine without that account as `nobody`, in the group
 * that may enter the data folder. Neither may enter root's home, so data and programs that lie there get a place under
 * /var/lib instead.
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
 * The account to run PostgreSQL under; undefined for our own.
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
    message:
      "PostgreSQL: does not run as root, and there is no account `postgres` or `nobody` to run it under",
    remedy: "Start the server as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own.",
  });
}

/**
 * A folder the account owns: `wanted`, or where it cannot be reached, one under /var/lib. A note in `wanted` then says where. One under
 * /var/lib with a database in it stays in use.
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
  const note = `The database of this data folder lies in ${folder}.\n`;
  if (folder !== wanted) writeFileSync(join(wanted, "LOCATION.txt"), note);
  return folder;
}

/** The programs, copied under /var/lib where the account cannot reach them. */
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
    // Another server was quicker; its copy is as good.
    rmSync(beside, { recursive: true });
    if (!existsSync(copy)) throw error;
  }
  return copy;
}

/** Asks the system itself: permissions have more sources than mode bits. */
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
