/**
 * Downloads one large file: resumes interrupted transfers, and keeps the file only if its hash matches.
 *
 * Partial data is kept in `<file>.part` beside the target, so the next run resumes too.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { SetupError } from "./run.mjs";

/**
 * @typedef {{ sha256: string, onProgress?: (doneBytes: number, totalBytes: number) => void,
 *   attempts?: number, pauseMs?: number, stallMs?: number }} DownloadOptions
 */

/**
 * Brings `url` to `file`.
 *
 * @param {string} url
 * @param {string} file
 * @param {DownloadOptions} options attempts: how often a cut connection is taken up again (default 5);
 *   stallMs: silence after which a connection counts as cut (default 60 s)
 * @throws {SetupError} when the server refuses, every attempt was cut, or the hash is wrong
 */
export async function download(url, file, options) {
  const { attempts = 5, pauseMs = 2000 } = options;
  await mkdir(dirname(file), { recursive: true });
  const part = `${file}.part`;
  for (let attempt = 1; ; attempt++) {
    try {
      await fetchRest(url, part, options);
      break;
    } catch (error) {
      if (error instanceof SetupError) throw error;
      if (attempt === attempts) {
        const why = error instanceof Error ? error.message : String(error);
        throw new SetupError(
          `download of ${url}: cut ${attempts} times (${why}). Run the command again: it goes on where it stopped.`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
  const sha256 = await hashFile(part);
  if (sha256 !== options.sha256) {
    await rm(part);
    throw new SetupError(
      `download of ${url}: got sha256 ${sha256}, expected ${options.sha256}. The file was deleted; ` +
        "a proxy may have changed it. Try again, or fetch the archive yourself and name its folder in LIBTORCH.",
    );
  }
  await rename(part, file);
}

/**
 * Appends what is missing to the part file.
 *
 * @param {string} url
 * @param {string} part
 * @param {DownloadOptions} options
 */
async function fetchRest(url, part, { onProgress, stallMs = 60_000 }) {
  const have = await sizeOf(part);
  const watch = new AbortController();
  const alarm = setTimeout(() => watch.abort(new Error(`no data for ${stallMs / 1000} s`)), stallMs);
  try {
    const headers = have > 0 ? { range: `bytes=${have}-` } : undefined;
    const response = await fetch(url, { signal: watch.signal, ...(headers ? { headers } : {}) });
    // 416: the part is already as long as the file; its hash decides whether it is the file.
    if (response.status === 416) return;
    if (!response.ok || !response.body) {
      const text = `download of ${url}: got HTTP ${response.status}, expected 200`;
      // A refusal will be the same the next time; trouble on the server's side may pass.
      throw response.status < 500 && response.status !== 429 ? new SetupError(text) : new Error(text);
    }
    const resumed = response.status === 206;
    let done = resumed ? have : 0;
    const total = done + Number(response.headers.get("content-length") ?? 0);
    const target = await open(part, resumed ? "a" : "w");
    try {
      for await (const chunk of response.body) {
        await target.write(chunk);
        done += chunk.byteLength;
        alarm.refresh();
        onProgress?.(done, total);
      }
    } finally {
      await target.close();
    }
    if (total > 0 && done < total) throw new Error(`${done} of ${total} bytes`);
  } finally {
    clearTimeout(alarm);
  }
}

/** @param {string} file */
async function sizeOf(file) {
  return stat(file).then(
    (facts) => facts.size,
    () => 0,
  );
}

/** @param {string} file */
async function hashFile(file) {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest("hex");
}
