/**
 * The official libtorch archive, for machines without PyTorch and without a system package.
 *
 * Version and hash are pinned; decisions/2026-11-22-libtorch.md has the source of the hash.
 */
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { download } from "./download.mjs";
import { run, SetupError } from "./run.mjs";

const archive = {
  version: "2.10.0+cpu",
  url: "https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-2.10.0%2Bcpu.zip",
  sha256: "c5bf8efda9224a2d971b19d1ef6cf3ba6fee8ab53e69c49427db003d1d300496",
};

const keptIn = fileURLToPath(new URL("../../.setup/libtorch", import.meta.url));

/** Where the unpacked archive lies, or would lie. */
export function archiveFolder() {
  return join(keptIn, archive.version);
}

/**
 * Downloads and unpacks the archive; a folder already there is left as it is.
 *
 * @param {(text: string, fraction: number) => void} onProgress
 * @param {{ url: string, sha256: string }} [source]
 * @param {string} [folder]
 * @returns {Promise<string>} the folder
 * @throws {SetupError} on a processor without an official archive, or when the download fails
 */
export async function installArchive(onProgress, source = archive, folder = archiveFolder()) {
  if (existsSync(join(folder, "lib"))) return folder;
  if (process.arch !== "x64") {
    throw new SetupError(
      `libtorch: no official archive for ${process.arch}. Install PyTorch instead: python3 -m pip install torch`,
    );
  }
  const zip = `${folder}.zip`;
  const unpacked = `${folder}.unpacking`;
  await download(source.url, zip, {
    sha256: source.sha256,
    onProgress: (done, total) =>
      onProgress(`${megabytes(done)} of ${megabytes(total)} MB`, total > 0 ? done / total : 0),
  });
  await rm(unpacked, { recursive: true, force: true });
  await mkdir(unpacked, { recursive: true });
  onProgress("unpacking", 1);
  await run("cmake", ["-E", "tar", "xf", zip], { cwd: unpacked });
  await mkdir(dirname(folder), { recursive: true });
  await rename(join(unpacked, "libtorch"), folder);
  await rm(unpacked, { recursive: true });
  await rm(zip);
  return folder;
}

/** @param {number} bytes */
function megabytes(bytes) {
  return Math.round(bytes / 1e6);
}
