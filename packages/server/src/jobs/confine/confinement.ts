/**
 * The account that trainers run as. They open untrusted files with ffmpeg and image libraries, so a server that runs as root
 * gives them a separate account without access to the database, the store and other requests.
 */
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { constants, existsSync } from "node:fs";
import {
  chmod,
  chown,
  copyFile,
  type FileHandle,
  lchown,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rm,
} from "node:fs/promises";
import { join } from "node:path";
import { type Account, trainerFiles } from "@ltx-trainer/host";
import type { Logger } from "pino";
import type { Config } from "../../config/config.ts";
import { trainerAccount } from "../../config/data-folder.ts";
import { endLeftovers } from "./leftovers.ts";
import type { RequestFolder } from "./request-folder.ts";

export class Confinement {
  /** Undefined: the server's own account. */
  readonly account: Account | undefined;

  constructor(account: Account | undefined) {
    this.account = account;
  }

  /** Under root: the separate account if it can read what trainers need. Otherwise logs why not. */
  static find({ home, base }: Pick<Config, "home" | "base">, log: Logger): Confinement {
    if (process.getuid?.() !== 0) return new Confinement(undefined);
    const account = trainerAccount();
    const named = base !== undefined && existsSync(base) ? [base] : [];
    const files = [...trainerFiles(), join(home, "models"), ...named];
    const unreadable = firstUnreadable(home, files, account);
    if (unreadable === undefined) return new Confinement(account);
    log.warn({ path: unreadable, ...account }, "trainer: runs as root, its own account cannot read a path");
    return new Confinement(undefined);
  }

  /** With HOME in `folder`: libraries write below HOME, and the server's is closed to trainers. */
  environment(given: Readonly<Record<string, string>>, folder: string): Readonly<Record<string, string>> {
    return this.account === undefined ? given : { ...given, HOME: folder };
  }

  /** Lets trainers pass through a folder without listing it. */
  async allowTraversal(folder: string): Promise<void> {
    if (this.account === undefined) return;
    await mkdir(folder, { recursive: true, mode: 0o710 });
    await chown(folder, 0, this.account.gid);
    await chmod(folder, 0o710);
  }

  /** Makes the trainers' account the owner of a folder and its content. */
  async grantFolder(folder: string): Promise<void> {
    if (this.account === undefined) return;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await giveTree(folder, this.account);
  }

  /**
   * Kills what a trainer left running and makes the server the owner of its folder. Then neither trainers of other requests,
   * which have the same account, nor leftover processes can change the outputs. Inputs are deleted: the server writes there
   * next, and they may be links.
   *
   * @param trainer the process that has exited
   */
  async reclaimFolder(folder: RequestFolder, trainer?: number): Promise<void> {
    if (this.account === undefined) return;
    await endLeftovers(this.account.uid, trainer);
    if (!existsSync(folder.path)) return;
    await chown(folder.path, 0, 0);
    await withFolder(folder.output, async (output) => {
      await output.chown(0, 0);
      await output.chmod(0o700);
    });
    await rm(folder.inputs, { recursive: true, force: true });
  }

  /** Links or copies a file of a closed folder into `folder`. @returns a path that the trainer can read */
  async readable(path: string, folder: string): Promise<string> {
    if (this.account === undefined) return path;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const inside = join(folder, `given-${randomUUID()}`);
    try {
      await link(path, inside);
    } catch {
      await copyFile(path, inside, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    }
    // A hard link shares its mode with the file in the store. That stays closed: only root may enter its folder.
    await chmod(inside, 0o644);
    await chown(folder, this.account.uid, this.account.gid);
    return inside;
  }
}

/** Works on the open folder: another running trainer may replace its path by a link meanwhile. */
async function giveTree(path: string, account: Account): Promise<void> {
  const { uid, gid } = account;
  await withFolder(path, async (folder) => {
    const open = process.platform === "linux" ? `/proc/self/fd/${folder.fd}` : path;
    for (const name of await readdir(open)) {
      const inside = join(open, name);
      const status = await lstat(inside).catch(ignoreMissing);
      if (status?.isDirectory()) await giveTree(inside, account);
      // Hard links into the store keep their owner.
      if (status?.isFile() && status.nlink === 1 && status.uid !== uid) {
        await lchown(inside, uid, gid).catch(ignoreMissing);
      }
    }
    if ((await folder.stat()).uid !== uid) await folder.chown(uid, gid);
  });
}

/** Opens a folder if it exists and is no link. */
async function withFolder(path: string, work: (folder: FileHandle) => Promise<void>): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const folder = await open(path, flags).catch(ignoreMissing);
  try {
    if (folder !== undefined) await work(folder);
  } finally {
    await folder?.close();
  }
}

/** Another trainer may have deleted it from the cache, or replaced it. */
function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (!["ENOENT", "ENOTDIR", "ELOOP"].includes(error.code ?? "")) throw error;
}

/** Tries it as that account: permissions depend on more than mode bits. Paths that do not exist count as readable. */
function firstUnreadable(way: string, files: readonly string[], account: Account): string | undefined {
  const script = `const [way, ...files] = process.argv.slice(1);
  const isRefused = (path, mode) => {
    try { require("node:fs").accessSync(path, mode); } catch (error) { return error.code !== "ENOENT"; }
  };
  console.log(isRefused(way, ${constants.X_OK}) ? way : files.find((path) => isRefused(path, ${constants.R_OK})) ?? "");`;
  const asked = spawnSync(process.execPath, ["-e", script, way, ...files], {
    ...account,
    cwd: "/",
    env: {},
    encoding: "utf8",
  });
  if (asked.status !== 0) return process.execPath;
  return asked.stdout.trim() || undefined;
}
