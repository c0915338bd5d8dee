/**
 * From what the user named (zip, folder, single file, address, data URI) to a list of files.
 *
 * Files are sorted by path, so that the same data give the same samples in the same order on every machine.
 */
import { createHash } from "node:crypto";
import { mkdir, open, rm, stat, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { AppError } from "@ltx-trainer/contract";
import { parseDataUri } from "@ltx-trainer/host";
import { fileTypeFromFile } from "file-type";
import { captionNames } from "../dataset/captions/pair.ts";
import { type DatasetLimits, defaultLimits, type PrepareContext, type SourceFile } from "../dataset/types.ts";
import { fileKind } from "../media/media-kinds.ts";
import { download } from "./download.ts";
import { kindOf, listFolder } from "./folder.ts";
import { logEvery } from "./log-progress.ts";
import { sourceName } from "./policy.ts";
import { isNamedPart, openArchive, splitArchive } from "./zip/archive.ts";

export type Source = {
  /** For people; a data URI is shortened. */
  readonly name: string;
  readonly files: readonly SourceFile[];
  close(): Promise<void>;
};

type Context = Pick<
  PrepareContext,
  "workFolder" | "limits" | "signal" | "checkAddress" | "nameOf" | "onProgress" | "log" | "logIntervalMs"
>;

/**
 * Opens a dataset, downloading it first where needed.
 *
 * @throws AppError when it is missing, of a kind that cannot be read, damaged, too large or cannot be downloaded
 */
export async function openSource(source: string, context: Context): Promise<Source> {
  const name = nameOf(source, context);
  if (/^data:/i.test(source)) return openLocal(await saveDataUri(source, context), name, context);
  if (/^https?:/i.test(source)) return openLocal(await fetchSource(source, context), name, context);
  return openLocal(pathOf(source), name, context);
}

/** A single file from a path, an address or a data URI, on disk. For validation images. */
export async function locateFile(source: string, context: Context): Promise<string> {
  if (/^data:/i.test(source)) return saveDataUri(source, context);
  if (/^https?:/i.test(source)) return fetchSource(source, context);
  const path = pathOf(source);
  const name = nameOf(source, context);
  const found = await statSource(path, name);
  if (found.isFile()) return path;
  // Opening a pipe that nobody writes to waits for ever, and no signal ends that.
  throw new AppError({
    code: "media_unreadable",
    message: `${name}: got ${found.isDirectory() ? "a folder" : kindOf(found)}, expected a file`,
    facts: { path },
  });
}

/** @throws AppError `source_unsupported` for an address of another kind */
function pathOf(source: string): string {
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(source)?.[1];
  if (!/^file:/i.test(source) && scheme === undefined) return resolve(source);
  if (scheme !== undefined && scheme.toLowerCase() !== "file") throw unsupportedScheme(scheme);
  try {
    return fileURLToPath(source);
  } catch (cause) {
    throw new AppError({
      code: "source_unsupported",
      message: `${source}: got a file: address of another machine or with an encoded slash, expected file:///<path>`,
      remedy: "Give the path itself.",
      cause,
    });
  }
}

async function openLocal(path: string, name: string, context: Context): Promise<Source> {
  const found = await statSource(path, name);
  if (found.isDirectory()) return openFolder(path, name, context);
  if (!found.isFile()) throw notADataset(name, kindOf(found));
  if (await isZip(path)) return openZip(path, name, context);
  if (await isMedium(path)) return openSingle(path, name);
  const end = await findZipEnd(path);
  if (end === "part" || isNamedPart(name)) throw splitArchive(name);
  // Programs that unpack themselves are zips with a beginning of their own.
  if (end === "whole") return openZip(path, name, context);
  throw notADataset(name, await kindOfFile(path));
}

async function isMedium(path: string): Promise<boolean> {
  const mime = (await fileTypeFromFile(path))?.mime ?? "";
  return /^(video|image)\//.test(mime) || ["video", "image"].includes(fileKind(path));
}

async function openZip(path: string, name: string, context: Context): Promise<Source> {
  const limits: DatasetLimits = { ...defaultLimits, ...context.limits };
  const folder = join(context.workFolder, "unpacked");
  await rm(folder, { recursive: true, force: true });
  const archive = await openArchive(path, name, { folder, limits });
  const files = archive.entries.map(({ path: entryPath, sizeBytes, refusal, unpack }) => ({
    path: entryPath,
    sizeBytes,
    refusal,
    locate: unpack,
  }));
  return { name, files: files.sort(byPath), close: archive.close };
}

async function openFolder(path: string, name: string, { workFolder }: Context): Promise<Source> {
  const files = await listFolder(path, join(workFolder, "renamed"));
  return { name, files: files.sort(byPath), close: async () => {} };
}

/** One video or image, with the caption that lies beside it. */
async function openSingle(path: string, name: string): Promise<Source> {
  const detected = await fileTypeFromFile(path);
  // A download has no extension of its own: what it is decides.
  const mediaName = ["video", "image"].includes(fileKind(path))
    ? basename(path)
    : `${basename(path)}.${detected?.ext}`;
  const files = [presentFile(mediaName, path, (await stat(path)).size)];
  for (const caption of captionNames(path)) {
    const found = await stat(caption).catch(() => undefined);
    if (found?.isFile()) files.push(presentFile(basename(caption), caption, found.size));
  }
  return { name, files, close: async () => {} };
}

function presentFile(path: string, location: string, sizeBytes: number): SourceFile {
  return { path, sizeBytes, refusal: undefined, locate: async () => location };
}

async function statSource(path: string, name: string) {
  try {
    return await stat(path);
  } catch (cause) {
    const missing = ["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(
      (cause as NodeJS.ErrnoException).code ?? "",
    );
    throw new AppError({
      code: missing ? "source_not_found" : "file_unreadable",
      message: missing ? `${name}: no such file or folder` : `${name}: ${(cause as Error).message}`,
      remedy: missing
        ? "Check the path for typing errors. Relative paths start at the current folder."
        : undefined,
      facts: { path },
      cause,
    });
  }
}

/** By its first bytes; an empty archive has others (PK 05 06). */
async function isZip(path: string): Promise<boolean> {
  const handle = await open(path, "r");
  try {
    const head = Buffer.alloc(4);
    await handle.read(head, 0, 4, 0);
    const signature = head.toString("latin1");
    return ["PK\x03\x04", "PK\x05\x06", "PK\x07\x08"].includes(signature);
  } finally {
    await handle.close();
  }
}

/** What the record at a zip's end says: whether the file is all of the zip, or the last of several parts. */
async function findZipEnd(path: string): Promise<"whole" | "part" | undefined> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    const tail = Buffer.alloc(Math.min(size, longestZipEnd));
    await handle.read(tail, 0, tail.length, size - tail.length);
    const start = tail.lastIndexOf("PK\x05\x06", undefined, "latin1");
    if (start === -1 || start + shortestZipEnd > tail.length) return undefined;
    return tail.readUInt16LE(start + 4) === 0 ? "whole" : "part";
  } finally {
    await handle.close();
  }
}

/** Bytes of that record, without and with the longest comment. */
const shortestZipEnd = 22;
const longestZipEnd = shortestZipEnd + 0xffff;

const archiveNames: Readonly<Record<string, string>> = {
  "application/x-rar-compressed": "a RAR archive",
  "application/x-7z-compressed": "a 7z archive",
  "application/x-tar": "a tar archive",
  "application/gzip": "a gzip file",
  "application/x-bzip2": "a bzip2 file",
  "application/x-xz": "an xz file",
  "application/zstd": "a Zstandard file",
};

async function kindOfFile(path: string): Promise<string> {
  const detected = await fileTypeFromFile(path);
  if (detected !== undefined) return archiveNames[detected.mime] ?? `a file of type ${detected.mime}`;
  const handle = await open(path, "r");
  try {
    const buffer = Buffer.alloc(512);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    if (bytesRead === 0) return "an empty file";
    const text = buffer.toString("utf8", 0, bytesRead).trimStart().toLowerCase();
    return /^<(!doctype html|html|head)/.test(text) ? "a web page" : "a file of an unknown type";
  } finally {
    await handle.close();
  }
}

function notADataset(name: string, got: string): AppError {
  const isPage = got === "a web page";
  return new AppError({
    code: "not_a_zip",
    message: `${name}: got ${got}, expected a zip, a folder, a video or an image`,
    remedy: isPage
      ? "The address leads to a page about the file. Use the direct download link."
      : Object.values(archiveNames).includes(got)
        ? "Unpack it, and pass the folder or a zip of it."
        : "Zip the folder with the videos, images and captions, and pass that.",
    facts: { got },
  });
}

function unsupportedScheme(scheme: string): AppError {
  return new AppError({
    code: "source_unsupported",
    message: `got an address that starts with ${scheme}://, expected http://, https://, a data URI or a path`,
    facts: { scheme },
  });
}

/** The file name depends on the address alone, so that two sources never share one. */
async function fetchSource(url: string, context: Context): Promise<string> {
  const limits: DatasetLimits = { ...defaultLimits, ...context.limits };
  const path = await downloadPath(url, context);
  const logProgress = logEvery(context);
  await download(url, path, {
    maxBytes: limits.downloadBytes,
    timeoutMs: limits.downloadTimeoutMs,
    signal: context.signal,
    checkAddress: context.checkAddress,
    onProgress: (done, total) => {
      context.onProgress?.({ title: "Downloading", done, total: total ?? 0 });
      logProgress(
        () => `downloading: ${megabytes(done)}${total === undefined ? "" : ` of ${megabytes(total)}`}`,
      );
    },
  });
  return path;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

async function saveDataUri(uri: string, context: Context): Promise<string> {
  const parsed = parseDataUri(Buffer.from(uri));
  if (parsed === undefined) {
    throw new AppError({
      code: "source_unsupported",
      message: `data URI: got "${uri.slice(0, 40)}", expected data:<type>;base64,<data>`,
    });
  }
  const path = await downloadPath(uri, context);
  await writeFile(path, parsed.bytes);
  return path;
}

async function downloadPath(source: string, { workFolder }: Context): Promise<string> {
  const folder = join(workFolder, "downloads");
  await mkdir(folder, { recursive: true });
  return join(folder, createHash("sha256").update(source).digest("hex").slice(0, 16));
}

function nameOf(source: string, context: Context): string {
  return context.nameOf?.(source) ?? sourceName(source);
}

function byPath(a: SourceFile, b: SourceFile): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}
