/** The bytes of files on the local disk, under ids of our own: no name from outside ever becomes a path. */
import { constants } from "node:fs";
import { copyFile, link, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

export class DiskStore {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Where the bytes of a file are. */
  pathOf(id: string): string {
    return join(this.folder, id.slice(-2), id);
  }

  /**
   * Takes over a file of this machine, which stays where it is. On disk when this returns.
   *
   * @returns its size in bytes
   */
  async adopt(id: string, source: string): Promise<number> {
    const path = this.pathOf(id);
    const beside = `${path}.tmp`;
    await mkdir(dirname(path), { recursive: true });
    await rm(beside, { force: true });
    try {
      await link(source, beside);
    } catch {
      // On another disk, or one without links.
      await copyFile(source, beside, constants.COPYFILE_FICLONE);
    }
    await sync(beside);
    await rename(beside, path);
    await sync(dirname(path));
    return (await stat(path)).size;
  }

  /** Removes the bytes; quiet when there are none. */
  async remove(id: string): Promise<void> {
    await rm(this.pathOf(id), { force: true });
  }
}

/** Waits until a file, or the names in a folder, would survive a power cut. */
async function sync(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
