/**
 * The files of a folder and its sub-folders, by the bytes of their names: Linux allows any, and `unzip` writes those of old
 * archives as they are. A file whose name is not UTF-8 is reached through a link of our own, since programs are started
 * with text.
 */
import type { Stats } from "node:fs";
import { mkdir, readdir, realpath, rm, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import type { SourceFile } from "../dataset/types.ts";
import { extensionOf, isJunk } from "../media/media-kinds.ts";
import { decodeText, withoutControls } from "./text-encoding.ts";

/**
 * Links are followed, each folder once. Junk is listed too, so that the report can say it was ignored.
 *
 * @param linkFolder where links to files with unusual names are put; made when needed
 * @throws AppError `file_unreadable` when the folder itself cannot be listed
 */
export async function listFolder(folder: string, linkFolder: string): Promise<SourceFile[]> {
  await rm(linkFolder, { recursive: true, force: true });
  const listing = new Listing(linkFolder);
  const refusal = await listing.add(Buffer.from(folder), "");
  if (refusal === undefined) return listing.files;
  throw new AppError({
    code: "file_unreadable",
    message: `${folder}: ${refusal}`,
    remedy: "Allow this account to read the folder and to enter it.",
    facts: { path: folder },
  });
}

class Listing {
  readonly files: SourceFile[] = [];
  readonly #linkFolder: string;
  readonly #seen = new Set<string>();
  #links = 0;

  constructor(linkFolder: string) {
    this.#linkFolder = linkFolder;
  }

  /** Adds what a folder holds; the answer says why it cannot be listed. */
  async add(folder: Buffer, prefix: string): Promise<string | undefined> {
    try {
      const real = (await realpath(folder, { encoding: "buffer" })).toString("latin1");
      if (this.#seen.has(real)) return undefined;
      this.#seen.add(real);
      const names = await readdir(folder, { encoding: "buffer" });
      for (const name of names.sort(Buffer.compare)) await this.#addEntry(folder, name, prefix);
      return undefined;
    } catch (error) {
      return refusalOf(error);
    }
  }

  async #addEntry(folder: Buffer, name: Buffer, prefix: string): Promise<void> {
    const location = Buffer.concat([folder, Buffer.from("/"), name]);
    const path = prefix + shownName(name);
    const found = await stat(location).catch(refusalOf);
    if (typeof found === "string") this.files.push(this.#file(path, location, 0, found));
    else if (found.isFile()) this.files.push(this.#file(path, location, found.size));
    else if (!found.isDirectory())
      this.files.push(this.#file(path, location, 0, `${kindOf(found)}, not a file`));
    else if (!isJunk(path)) {
      const refusal = await this.add(location, `${path}/`);
      if (refusal !== undefined) this.files.push(this.#file(`${path}/`, location, 0, refusal));
    }
  }

  #file(path: string, location: Buffer, sizeBytes: number, refusal?: string): SourceFile {
    const text = location.toString("utf8");
    const isText = Buffer.from(text).equals(location);
    const locate = isText ? async () => text : () => this.#link(location, path);
    return { path, sizeBytes, refusal, locate };
  }

  async #link(location: Buffer, path: string): Promise<string> {
    await mkdir(this.#linkFolder, { recursive: true });
    const link = join(this.#linkFolder, `${String(++this.#links).padStart(6, "0")}${extensionOf(path)}`);
    await symlink(await realpath(location, { encoding: "buffer" }), link);
    return link;
  }
}

/** The name in its likeliest encoding when it is not UTF-8. */
function shownName(name: Buffer): string {
  return withoutControls((decodeText(name)?.text ?? name.toString("latin1")).replaceAll("/", "_"));
}

const refusals: Readonly<Record<string, string>> = {
  ENOENT: "a link to something that does not exist",
  ELOOP: "a link that leads back to itself",
  EACCES: "cannot be read: this account has no permission",
  EPERM: "cannot be read: this account has no permission",
};

function refusalOf(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return refusals[code] ?? `cannot be read: ${code || message}`;
}

/** What something is that is neither a file nor a folder. */
export function kindOf(found: Stats): string {
  return found.isFIFO() ? "a pipe" : found.isSocket() ? "a socket" : "a device";
}
