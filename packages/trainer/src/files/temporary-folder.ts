/** A folder for the time of one piece of work. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";

/** Makes a folder below `parent`, which is made too, and removes it at the end, however the work ends. */
export async function withTemporaryFolder<T>(
  parent: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(join(parent, "ltx-trainer-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
