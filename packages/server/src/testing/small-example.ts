/** Two clips of the bundled example, with their captions, as a zip: for tests of everything but the dataset. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Uint8ArrayReader, Uint8ArrayWriter, ZipReader, ZipWriter } from "@zip.js/zip.js";

const whole = fileURLToPath(new URL("../../../../examples/glowpulse.zip", import.meta.url));
const kept = /^0[12]-.*\.(mp4|txt)$/;

/** The bytes of the zip. The whole example has 18 clips, which take ten times as long to read and encode. */
export async function smallExample(): Promise<Uint8Array<ArrayBuffer>> {
  const reader = new ZipReader(new Uint8ArrayReader(readFileSync(whole)));
  const writer = new ZipWriter(new Uint8ArrayWriter(), { useWebWorkers: false });
  for (const entry of await reader.getEntries()) {
    if (entry.directory || !kept.test(entry.filename)) continue;
    const bytes = await entry.getData(new Uint8ArrayWriter(), { useWebWorkers: false });
    await writer.add(entry.filename, new Uint8ArrayReader(bytes));
  }
  await reader.close();
  return (await writer.close()) as Uint8Array<ArrayBuffer>;
}
