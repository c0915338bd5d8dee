/** Zips written byte by byte, for what no writer of ours makes: other encodings, methods, and places above 4 GiB. */
import { type FileHandle, open } from "node:fs/promises";

export type RawEntry = {
  readonly name: Uint8Array;
  readonly data: Uint8Array;
  readonly method?: number;
  /** Where its header stands. Default: behind the entry before it. */
  readonly offset?: number;
};

/**
 * Writes a zip of stored entries as the Finder does: offsets keep their last 32 bits only. Gaps are holes in the file.
 *
 * @param disk number of the part that the end record names
 */
export async function writeRawZip(path: string, entries: readonly RawEntry[], disk = 0): Promise<void> {
  const file = await open(path, "w");
  const directory: Uint8Array[] = [];
  let end = 0;
  for (const entry of entries) {
    const offset = entry.offset ?? end;
    end = await writeAt(file, offset, Buffer.concat([header(entry, undefined), entry.name, entry.data]));
    directory.push(header(entry, offset), entry.name);
  }
  const bytes = Buffer.concat(directory);
  const record = Buffer.alloc(22);
  record.write("PK\x05\x06", "latin1");
  record.writeUInt16LE(disk, 4);
  record.writeUInt16LE(disk, 6);
  record.writeUInt16LE(entries.length, 8);
  record.writeUInt16LE(entries.length, 10);
  record.writeUInt32LE(bytes.length, 12);
  record.writeUInt32LE(end % 2 ** 32, 16);
  await writeAt(file, end, Buffer.concat([bytes, record]));
  await file.close();
}

async function writeAt(file: FileHandle, offset: number, bytes: Uint8Array): Promise<number> {
  await file.write(bytes, 0, bytes.length, offset);
  return offset + bytes.length;
}

/** A local header, or with an offset one of the directory. */
function header({ name, data, method = 0 }: RawEntry, offset: number | undefined): Buffer {
  const isLocal = offset === undefined;
  const bytes = Buffer.alloc(isLocal ? 30 : 46);
  bytes.write(isLocal ? "PK\x03\x04" : "PK\x01\x02", "latin1");
  const fields = isLocal ? 4 : 6;
  if (!isLocal) bytes.writeUInt16LE(20, 4);
  bytes.writeUInt16LE(20, fields);
  bytes.writeUInt16LE(method, fields + 4);
  bytes.writeUInt32LE(crc(data), fields + 10);
  bytes.writeUInt32LE(data.length, fields + 14);
  bytes.writeUInt32LE(data.length, fields + 18);
  bytes.writeUInt16LE(name.length, fields + 22);
  if (!isLocal) bytes.writeUInt32LE((offset ?? 0) % 2 ** 32, 42);
  return bytes;
}

function crc(data: Uint8Array): number {
  let value = ~0;
  for (const byte of data) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value >>> 0;
}
