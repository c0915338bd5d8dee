/**
 * Who trainers run as. They open strangers' files with ffmpeg and image libraries, so that a server started by root gives them an
 * account of their own, which can reach neither the database, nor the store, nor other requests.
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
  /** Undefined: as the server. */
  readonly account: Account | undefined;

  constructor(account: Account | undefined) {
    this.account = account;
  }

  /** Under root an account of their own, where it can read what trainers need; else it is said why not. */
  static find({ home, base }: Pick<Config, "home" | "base">, log: Logger): Confinement {
    if (process.getuid?.() !== 0) return new Confinement(undefined);
    const account = trainerAccount();
    const named = base !== undefined && existsSync(base) ? [base] : [];
    const files = [...trainerFiles(), join(home, "models"), ...named];
    const unreadable = firstUnreadable(home, files, account);
    if (unreadable === undefined) return new Confinement(account);
    log.warn(
      { path: unreadable, ...account },
      "trainer: runs as root, because its own account cannot read this path",
    );
    return new Confinement(undefined);
  }

  /** Libraries write below HOME, which is the server's. */
  environment(given: Readonly<Record<string, string>>, folder: string): Readonly<Record<string, string>> {
    return this.account === undefined ? given : { ...given, HOME: folder };
  }

  /** Lets trainers enter a folder without seeing what is in it. */
  async openWay(folder: string): Promise<void> {
    if (this.account === undefined) return;
    await mkdir(folder, { recursive: true, mode: 0o710 });
    await chown(folder, 0, this.account.gid);
    await chmod(folder, 0o710);
  }

  /** Lets the trainer have a folder with all that is in it. */
  async giveFolder(folder: string): Promise<void> {
    if (this.account === undefined) return;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await giveTree(folder, this.account);
  }

  /**
   * Ends what a trainer left running, and takes its folder back: no trainer of another request reaches it, although all have
   * one account, and nothing that is left exchanges its outputs. Its inputs go: the server writes there next, and they may be links.
   *
   * @param trainer the process that has ended
   */
  async takeFolder(folder: RequestFolder, trainer?: number): Promise<void> {
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

  /** A path under which the trainer can read a file that lies in a closed folder: a link in `folder`, or a copy. */
  async readable(path: string, folder: string): Promise<string> {
    if (this.account === undefined) return path;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const inside = join(folder, `given-${randomUUID()}`);
    try {
      await link(path, inside);
    } catch {
      await copyFile(path, inside, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    }
    // A link shares its mode with the file in the store, whose folder only root may enter.
    await chmod(inside, 0o644);
    await chown(folder, this.account.uid, this.account.gid);
    return inside;
  }
}

/** Of the open folder, for a trainer that runs already may put a link in its place meanwhile. */
async function giveTree(path: string, account: Account): Promise<void> {
  const { uid, gid } = account;
  await withFolder(path, async (folder) => {
    const open = process.platform === "linux" ? `/proc/self/fd/${folder.fd}` : path;
    for (const name of await readdir(open)) {
      const inside = join(open, name);
      const status = await lstat(inside).catch(ignoreMissing);
      if (status?.isDirectory()) await giveTree(inside, account);
      // Links into the store keep their owner.
      if (status?.isFile() && status.nlink === 1 && status.uid !== uid) {
        await lchown(inside, uid, gid).catch(ignoreMissing);
      }
    }
    if ((await folder.stat()).uid !== uid) await folder.chown(uid, gid);
  });
}

/** Opens a folder that is there and no link. */
async function withFolder(path: string, work: (folder: FileHandle) => Promise<void>): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const folder = await open(path, flags).catch(ignoreMissing);
  try {
    if (folder !== undefined) await work(folder);
  } finally {
    await folder?.close();
  }
}

/** Another trainer may have removed it from the cache, or put something else there. */
function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (!["ENOENT", "ENOTDIR", "ELOOP"].includes(error.code ?? "")) throw error;
}

/** Asks the system itself: permissions have more sources than mode bits. What does not exist is readable. */
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
