/** Files that survive a power cut: written beside, flushed, renamed, and the folder flushed too. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Where a file is written before it is renamed to `path`. All writers use this form, safetensors files too, so that
 * leftovers of a killed process are recognised.
 */
export function nameBeside(path: string): string {
  return `${path}.${process.pid}.tmp`;
}

/** Whether a name is that of a file beside one of ours. */
export function isNameBeside(name: string, isOurs: (file: string) => boolean): boolean {
  const [, file] = /^(.+)\.\d+\.tmp$/.exec(name) ?? [];
  return file !== undefined && isOurs(file);
}

/**
 * Replaces a file. Readers find the old text or the new one, never half of it.
 *
 * @param mode of a new file, before the umask
 */
export function writeDurably(path: string, text: string, mode = 0o666): void {
  const beside = nameBeside(path);
  try {
    const descriptor = openSync(beside, "w", mode);
    try {
      writeFileSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

/** A rename or removal is durable only once its folder is on disk too. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
