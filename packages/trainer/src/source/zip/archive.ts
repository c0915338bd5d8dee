/**
 * Reading a zip archive without trusting it.
 *
 * Names are labels, never paths: entries are unpacked under numbers of our own. Entries, bytes and compression ratio are
 * limited, checksums are verified, links and encrypted entries are refused. One damaged entry does not spoil the others.
 */
import { createWriteStream } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { AppError } from "@ltx-trainer/contract";
import { ERR_ENCRYPTED_CENTRAL_DIRECTORY, ERR_SPLIT_ZIP_FILE, type FileEntry } from "@zip.js/zip.js";
import type { DatasetLimits } from "../../dataset/types.ts";
import { asDiskFull, isSystemError } from "../../files/disk.ts";
import { extensionOf } from "../../media/media-kinds.ts";
import { readNames } from "./zip-names.ts";
import { ZipFile } from "./zip-reader.ts";

/** A file inside an archive. */
export type ArchiveEntry = {
  /** As stored, with `/` between folders: for people and for pairing, not for opening files. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Why it cannot be unpacked; undefined when it can. */
  readonly refusal: string | undefined;
  /**
   * Unpacks it into the archive's folder.
   *
   * @returns the path of the unpacked file
   * @throws AppError `zip_damaged`, `zip_too_large`
   */
  unpack(): Promise<string>;
};

export type Archive = { readonly entries: readonly ArchiveEntry[]; close(): Promise<void> };

/** Below this size an entry may shrink as much as it likes. */
const ratioAppliesAboveBytes = 64 * 2 ** 20;

/**
 * Opens a zip file.
 *
 * @param name how the file is called in messages
 * @param folder where entries are unpacked; made when needed
 * @throws AppError `zip_damaged`, `zip_encrypted`, `zip_too_large`
 */
export async function openArchive(
  path: string,
  name: string,
  { folder, limits }: { readonly folder: string; readonly limits: DatasetLimits },
): Promise<Archive> {
  const handle = await open(path, "r");
  try {
    const zip = await ZipFile.open(handle, limits.entries);
    if (zip.entries.length > limits.entries) throw tooManyEntries(name, limits.entries);
    const budget = { bytes: limits.unpackedBytes };
    const names = readNames(zip.entries);
    const entries = zip.entries.map((entry, index): ArchiveEntry => {
      const entryPath = names[index] as string;
      const number = String(index + 1).padStart(6, "0");
      const target = join(folder, `${number}${safeExtension(entryPath)}`);
      return {
        path: entryPath,
        sizeBytes: entry.uncompressedSize,
        refusal: refusalOf(entry),
        unpack: async () => {
          const mayBeLarger = zip.isCutTo32Bits(entry);
          return unpack(await zip.locate(index), entryPath, { name, target, limits, budget, mayBeLarger });
        },
      };
    });
    return { entries, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw explain(name, error);
  }
}

type Unpacking = {
  readonly name: string;
  readonly target: string;
  readonly limits: DatasetLimits;
  /** Shared by all entries of an archive; falls as they are unpacked. */
  readonly budget: { bytes: number };
  /** Whether its size may be cut to 32 bits. */
  readonly mayBeLarger: boolean;
};

/** Stored, Deflate, Deflate64. */
const readMethods = new Set([0, 8, 9]);

/** Source: APPNOTE.TXT 6.3.10, section 4.4.5. */
const methodNames: Readonly<Record<number, string>> = {
  1: "Shrink",
  6: "Implode",
  12: "bzip2",
  14: "LZMA",
  93: "Zstandard",
  95: "XZ",
  98: "PPMd",
};

function refusalOf({ symlink, encrypted, compressionMethod }: FileEntry): string | undefined {
  if (symlink) return "a link, not a file";
  if (encrypted) return "protected by a password";
  if (readMethods.has(compressionMethod)) return undefined;
  const method = methodNames[compressionMethod] ?? `method ${compressionMethod}`;
  return `packed with ${method}, expected Deflate or no compression: zip it again with the usual settings`;
}

async function unpack(
  entry: FileEntry,
  path: string,
  { name, target, limits, budget, mayBeLarger }: Unpacking,
): Promise<string> {
  const folder = dirname(target);
  const part = `${target}.part`;
  let bytes = 0;
  const limited = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      bytes += piece.length;
      budget.bytes -= piece.length;
      const ratio = bytes / Math.max(1, entry.compressedSize);
      if (budget.bytes < 0 || (bytes > ratioAppliesAboveBytes && ratio > limits.unpackRatio)) {
        throw tooLarge(name, path, limits);
      }
      controller.enqueue(piece);
    },
  });
  try {
    await mkdir(folder, { recursive: true });
    await Promise.all([
      entry.getData(limited.writable, { checkCrc32: true }),
      pipeline(Readable.fromWeb(limited.readable as ReadableStream), createWriteStream(part)),
    ]);
  } catch (error) {
    // What stopped the writing may stop this too, and is the one to tell.
    await rm(part, { force: true }).catch(() => {});
    throw (
      asDiskFull(error, folder) ??
      (isSystemError(error) ? error : damagedEntry(name, path, error, mayBeLarger))
    );
  }
  await rename(part, target);
  return target;
}

/** Kept so that people find their way in the work folder; nothing is decided by it. */
function safeExtension(path: string): string {
  const extension = extensionOf(path);
  return /^\.[a-z0-9]{1,5}$/.test(extension) ? extension : "";
}

function tooManyEntries(name: string, most: number): AppError {
  return new AppError({
    code: "zip_too_large",
    message: `${name}: got more than ${most} files in the archive, expected at most ${most}`,
    facts: { limit: most },
  });
}

function tooLarge(name: string, path: string, limits: DatasetLimits): AppError {
  return new AppError({
    code: "zip_too_large",
    message:
      `${name}: ${path} unpacks to more than is allowed, expected at most ${limits.unpackedBytes} bytes for all files and ` +
      `${limits.unpackRatio} times the packed size for one`,
    remedy: "Use fewer or smaller files.",
    facts: { file: path, unpackedBytes: limits.unpackedBytes, unpackRatio: limits.unpackRatio },
  });
}

function explain(name: string, error: unknown): AppError {
  if (error instanceof AppError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  if (reason === ERR_ENCRYPTED_CENTRAL_DIRECTORY) return encryptedArchive(name);
  if (reason === ERR_SPLIT_ZIP_FILE || isNamedPart(name)) return splitArchive(name);
  return new AppError({
    code: "zip_damaged",
    message: `${name}: the archive is damaged or cut short: ${reason}`,
    remedy: "Make the zip again, and compare its size after copying or uploading it.",
    cause: error,
  });
}

function damagedEntry(name: string, path: string, error: unknown, mayBeLarger: boolean): AppError {
  if (error instanceof AppError) return error;
  const cause = error instanceof Error ? error.message : String(error);
  const larger =
    ", or larger than 4 GiB, which zips of the macOS Finder cannot say: pass the folder, or zip it with another program";
  const reason = `damaged in the archive${mayBeLarger ? larger : ""}: ${cause}`;
  return new AppError({
    code: "zip_damaged",
    message: `${name}: ${path}: ${reason}`,
    facts: { file: path, reason },
    cause: error,
  });
}

/** Whether a file is called as a part of a split zip is: `a.z01`, `a.zip.001`. */
export function isNamedPart(name: string): boolean {
  return /\.(z\d\d|zip\.\d{3})$/i.test(name);
}

/** The error for one part of an archive in several files. */
export function splitArchive(name: string): AppError {
  return new AppError({
    code: "not_a_zip",
    message: `${name}: got one part of a zip that was split into several files, expected a whole zip`,
    remedy:
      "Join the parts (`zip -s 0 split.zip --out whole.zip`), or zip the files again without splitting.",
    facts: { got: "one part of a split zip" },
  });
}

/** The error for an archive that asks for a password. */
export function encryptedArchive(name: string): AppError {
  return new AppError({
    code: "zip_encrypted",
    message: `${name}: the archive is protected by a password`,
    remedy: "Zip the files again without a password.",
  });
}
