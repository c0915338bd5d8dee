/** File store on the local disk. Paths are made from our own ids, never from names of clients. */
import { randomUUID } from "node:crypto";
import { constants, createReadStream, createWriteStream } from "node:fs";
import {
  chmod,
  chown,
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  opendir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { diskFull, unlimited } from "./allowance.ts";
import type { Allowance, ByteRange, FileStore, StoreEntry, Written } from "./file-store.ts";
import { measure } from "./measure.ts";

export class DiskStore implements FileStore {
  readonly #files: string;
  readonly #parts: string;
  readonly #ownerMark: string;

  /** @param home the data folder. Both folders must be on one disk */
  constructor(home: string) {
    this.#files = join(home, "files");
    this.#parts = join(home, "parts");
    this.#ownerMark = join(home, "files.owner");
  }

  async adopt(id: string, source: string): Promise<number> {
    const path = this.#pathOf(id);
    const beside = await besides(path);
    try {
      await linkOrCopy(source, beside);
      await own(beside);
      await syncToDisk(beside);
      await publish(beside, path);
    } catch (error) {
      await rm(beside, { force: true });
      throw error;
    }
    return (await stat(path)).size;
  }

  write(id: string, body: Readable, allowance: Allowance): Promise<Written> {
    return writeWhole(this.#pathOf(id), body, allowance);
  }

  writePart(uploadId: string, part: number, body: Readable, allowance: Allowance): Promise<Written> {
    return writeWhole(this.#partPath(uploadId, part), body, allowance);
  }

  assemble(id: string, uploadId: string, parts: readonly number[]): Promise<Written> {
    const paths = parts.map((part) => this.#partPath(uploadId, part));
    return writeWhole(this.#pathOf(id), Readable.from(joined(paths), { objectMode: false }), unlimited);
  }

  async read(id: string, range?: ByteRange): Promise<Readable> {
    const handle = await open(this.#pathOf(id), "r");
    return handle.createReadStream(range === undefined ? {} : { start: range.first, end: range.last });
  }

  async locate(id: string): Promise<string> {
    return this.#pathOf(id);
  }

  async remove(id: string): Promise<void> {
    await rm(this.#pathOf(id), { force: true });
    for (const name of await namesIn(dirname(this.#pathOf(id)))) {
      if (name.startsWith(`${id}.`)) await rm(join(dirname(this.#pathOf(id)), name), { force: true });
    }
  }

  async removeParts(uploadId: string): Promise<void> {
    await rm(join(this.#parts, uploadId), { recursive: true, force: true });
  }

  async *list(): AsyncIterable<StoreEntry> {
    for (const id of await namesIn(this.#parts)) yield { id, kind: "upload" };
    for (const group of await namesIn(this.#files)) {
      for await (const { name } of await opendir(join(this.#files, group))) {
        const [id = ""] = name.split(".");
        yield { id, kind: "file" };
      }
    }
  }

  async belongsTo(owner: string): Promise<boolean> {
    try {
      await writeFile(this.#ownerMark, owner, { flag: "wx", mode: 0o600 });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      return (await readFile(this.#ownerMark, "utf8")) === owner;
    }
  }

  async check(): Promise<void> {
    const folder = join(this.#files, "00");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const probe = join(folder, `.probe-${randomUUID()}`);
    try {
      await writeFile(probe, Buffer.alloc(4096), { mode: 0o600 });
    } finally {
      await rm(probe, { force: true });
    }
  }

  async freeBytes(): Promise<number> {
    await mkdir(this.#files, { recursive: true, mode: 0o700 });
    const { bavail, bsize } = await statfs(this.#files);
    return bavail * bsize;
  }

  #pathOf(id: string): string {
    return join(this.#files, id.slice(-2), id);
  }

  #partPath(uploadId: string, part: number): string {
    return join(this.#parts, uploadId, String(part));
  }
}

/** Takes ownership of a file that the trainer made, maybe under another account. */
async function own(path: string): Promise<void> {
  if (!(await lstat(path)).isFile()) throw new Error(`${path}: got something else, expected a plain file`);
  if (process.getuid?.() === 0) await chown(path, 0, 0);
  await chmod(path, 0o600);
}

/** A unique name per attempt: a client's retry may overtake its first attempt. */
async function besides(path: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  return `${path}.${randomUUID()}.tmp`;
}

async function linkOrCopy(source: string, target: string): Promise<void> {
  try {
    await link(source, target);
  } catch {
    // Another disk, or one without hard links. Copying would follow a symbolic link.
    if (!(await lstat(source)).isFile()) throw new Error(`${source}: expected a plain file`);
    await copyFile(source, target, constants.COPYFILE_FICLONE);
  }
}

async function publish(beside: string, path: string): Promise<void> {
  await rename(beside, path);
  await syncToDisk(dirname(path));
}

async function writeWhole(path: string, body: Readable, allowance: Allowance): Promise<Written> {
  const beside = await besides(path);
  const { stream, written } = measure(allowance);
  try {
    await pipeline(body, stream, createWriteStream(beside, { mode: 0o600, flush: true }));
  } catch (error) {
    await rm(beside, { force: true });
    throw (error as NodeJS.ErrnoException).code === "ENOSPC" ? diskFull() : error;
  }
  await publish(beside, path);
  return written();
}

async function* joined(paths: readonly string[]): AsyncGenerator<Buffer> {
  for (const path of paths) yield* createReadStream(path);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Flushes a file, or the names in a folder, to disk. */
async function syncToDisk(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
