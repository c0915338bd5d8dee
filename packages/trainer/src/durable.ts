/**
 * Files that survive a power cut: written beside, flushed, renamed, and the folder flushed too.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Readers find the old text or the new one, never half of it. */
export function writeDurably(path: string, text: string): void {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    const descriptor = openSync(beside, "w");
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
