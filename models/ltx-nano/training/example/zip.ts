/**
 * Writes a zip archive without compression: the same bytes for the same files, whenever and wherever it is made.
 */
import { configure, Uint8ArrayReader, Uint8ArrayWriter, ZipWriter } from "@zip.js/zip.js";

configure({ useWebWorkers: false });

export type ZipEntry = { readonly name: string; readonly data: Uint8Array };

/** The first day that a zip can name, in local time, as zip stores it: the bytes do not depend on the clock. */
const firstDay = new Date(1980, 0, 1);

/** The archive's bytes. Entries are stored as they are: clips are compressed already. */
export async function storeZip(entries: readonly ZipEntry[]): Promise<Uint8Array> {
  const writer = new ZipWriter(new Uint8ArrayWriter(), {
    level: 0,
    lastModDate: firstDay,
    extendedTimestamp: false,
    dataDescriptor: false,
    msDosCompatible: true,
  });
  for (const { name, data } of entries) await writer.add(name, new Uint8ArrayReader(data));
  return await writer.close();
}
