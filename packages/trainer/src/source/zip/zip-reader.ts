/**
 * A zip's list of entries, read from an open file.
 *
 * The Finder writes archives above 4 GiB without the Zip64 records that these need: offsets keep their last 32 bits only. Such
 * an entry is looked for 4 GiB, 8 GiB, ... further on, where a header with its own name stands.
 */
import type { FileHandle } from "node:fs/promises";
import { configure, type FileEntry, Reader, ZipReader } from "@zip.js/zip.js";

configure({ useWebWorkers: false });

const wrap = 2 ** 32;
const headerBytes = 30;

/** The files of a zip in the order of its directory; folders are left out. */
export class ZipFile {
  readonly entries: readonly FileEntry[];
  readonly #handle: FileHandle;
  readonly #sizeBytes: number;
  readonly #shifted = new Map<number, Promise<readonly FileEntry[]>>();

  private constructor(handle: FileHandle, sizeBytes: number, entries: readonly FileEntry[]) {
    this.#handle = handle;
    this.#sizeBytes = sizeBytes;
    this.entries = entries;
  }

  /**
   * @param mostEntries reading stops behind the first entry above it
   * @throws Error of zip.js when the file is no zip, or a damaged one
   */
  static async open(handle: FileHandle, mostEntries: number): Promise<ZipFile> {
    const { size } = await handle.stat();
    return new ZipFile(handle, size, await listFiles(new HandleReader(handle), mostEntries));
  }

  /** The entry as it can be read: with the offset that it has in truth. */
  async locate(index: number): Promise<FileEntry> {
    const entry = this.entries[index] as FileEntry;
    if (!this.isCutTo32Bits(entry)) return entry;
    for (let shift = 0; entry.offset + shift < this.#sizeBytes; shift += wrap) {
      if (!(await this.#hasHeader(entry, entry.offset + shift))) continue;
      return shift === 0 ? entry : ((await this.#listShifted(shift))[index] ?? entry);
    }
    return entry;
  }

  /** Whether offset and size of an entry may be the last 32 bits of larger numbers. */
  isCutTo32Bits(entry: FileEntry): boolean {
    return this.#sizeBytes >= wrap && entry.extraFieldZip64 === undefined;
  }

  async #hasHeader(entry: FileEntry, offset: number): Promise<boolean> {
    const expected = Buffer.from(entry.rawFilename);
    const found = Buffer.alloc(headerBytes + expected.length);
    await this.#handle.read(found, 0, found.length, offset);
    return found.toString("latin1", 0, 4) === "PK\x03\x04" && found.subarray(headerBytes).equals(expected);
  }

  /** The same entries over a reader that reads everything so many bytes further on. */
  #listShifted(shift: number): Promise<readonly FileEntry[]> {
    const known = this.#shifted.get(shift);
    if (known !== undefined) return known;
    const reader = new HandleReader(this.#handle);
    const listed = listFiles(reader, this.entries.length).then((entries) => {
      reader.shift = shift;
      return entries;
    });
    this.#shifted.set(shift, listed);
    return listed;
  }
}

async function listFiles(reader: HandleReader, most: number): Promise<FileEntry[]> {
  const zip = new ZipReader(reader, {
    filenameValidation: "tolerant",
    maxAppendedDataSize: Number.POSITIVE_INFINITY,
  });
  const entries: FileEntry[] = [];
  for await (const entry of zip.getEntriesGenerator()) {
    if (entry.directory) continue;
    entries.push(entry);
    if (entries.length > most) break;
  }
  return entries;
}

/** Entries of a zip are read where they are, not through memory. */
class HandleReader extends Reader<FileHandle> {
  /** Added to the place of everything that is read. */
  shift = 0;
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    super(handle);
    this.#handle = handle;
  }

  override async init(): Promise<void> {
    await super.init?.();
    this.size = (await this.#handle.stat()).size;
  }

  override async readUint8Array(index: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const start = index + this.shift;
    const wanted = Math.max(0, Math.min(length, this.size - start));
    const bytes = new Uint8Array(wanted);
    let filled = 0;
    while (filled < wanted) {
      const { bytesRead } = await this.#handle.read(bytes, filled, wanted - filled, start + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  }
}
