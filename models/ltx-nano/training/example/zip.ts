/**
 * Writes a zip archive without compression: the same bytes for the same files, whenever and wherever it is made.
 *
 * Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (end record).
 */
import { crc32 } from "./png.ts";

export type ZipEntry = { readonly name: string; readonly data: Uint8Array };

const version = 20;
const utf8Names = 1 << 11;
/** 1 January 1980, the first day a zip can name: archives do not depend on the clock. */
const dosDate = (0 << 9) | (1 << 5) | 1;
const dosTime = 0;

/** The archive's bytes. Entries must be small: no zip64. */
export function storeZip(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data } of entries) {
    const nameBytes = Buffer.from(name, "utf8");
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(version, 4);
    writeFacts(local, 6, nameBytes, data);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(version, 4);
    central.writeUInt16LE(version, 6);
    writeFacts(central, 8, nameBytes, data);
    central.writeUInt32LE(offset, 42);
    parts.push(local, nameBytes, Buffer.from(data));
    directory.push(central, nameBytes);
    offset += local.length + nameBytes.length + data.length;
  }
  const directoryBytes = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directoryBytes.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, directoryBytes, end]);
}

/** The fields that both headers have in the same order: flags, method, time, date, checksum, sizes, name length. */
function writeFacts(header: Buffer, at: number, name: Uint8Array, data: Uint8Array): void {
  header.writeUInt16LE(utf8Names, at);
  header.writeUInt16LE(0, at + 2); // stored: the clips are compressed already
  header.writeUInt16LE(dosTime, at + 4);
  header.writeUInt16LE(dosDate, at + 6);
  header.writeUInt32LE(crc32(data), at + 8);
  header.writeUInt32LE(data.length, at + 12);
  header.writeUInt32LE(data.length, at + 16);
  header.writeUInt16LE(name.length, at + 20);
}
