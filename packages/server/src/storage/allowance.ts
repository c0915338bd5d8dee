/** How many bytes somebody may still store, and what they are told when it is more. */
import { requestFailure } from "@ltx-trainer/contract";
import type { StorageConfig } from "../config/storage.ts";
import type { Database } from "../db/database.ts";
import { usedBytes } from "../db/files.ts";
import { WireError } from "../queue/wire-error.ts";
import type { Allowance, FileStore } from "./file-store.ts";

/** Without a limit: for bytes of our own. */
export const unlimited: Allowance = { bytes: Number.POSITIVE_INFINITY, refusal: tooLarge(0) };

export type AllowanceDeps = {
  readonly db: Database;
  readonly store: FileStore;
  readonly config: Pick<StorageConfig, "maxUploadBytes" | "userQuotaBytes" | "diskReserveBytes">;
};

/**
 * What a user may store now: the smallest of the limit of one file, the user's quota, and the disk.
 *
 * @param earlierBytes of the same file, stored already
 * @param announcedBytes of the body to come, when its length was said
 * @throws WireError 413 or 507 when that is too much already
 */
export async function allowanceOf(
  { db, store, config }: AllowanceDeps,
  userId: string,
  { earlierBytes = 0, announcedBytes = 0 }: { earlierBytes?: number; announcedBytes?: number },
): Promise<Allowance> {
  const limits: Allowance[] = [
    { bytes: config.maxUploadBytes - earlierBytes, refusal: tooLarge(config.maxUploadBytes) },
  ];
  if (config.userQuotaBytes !== undefined) {
    const left = config.userQuotaBytes - (await usedBytes(db, userId));
    limits.push({ bytes: left, refusal: overQuota(config.userQuotaBytes, left) });
  }
  const free = await store.freeBytes();
  if (free !== undefined) limits.push({ bytes: free - config.diskReserveBytes, refusal: diskFull });
  const smallest = limits.reduce((a, b) => (b.bytes < a.bytes ? b : a));
  if (announcedBytes > smallest.bytes || smallest.bytes < 0) throw smallest.refusal(announcedBytes);
  return smallest;
}

function tooLarge(limit: number) {
  return (bytes: number) =>
    refused(413, `File too large: got ${bytes} bytes or more, expected at most ${limit}`);
}

function overQuota(quota: number, left: number) {
  return (bytes: number) =>
    refused(
      413,
      `Storage quota exceeded: got ${bytes} bytes or more, ${Math.max(0, left)} of ${quota} are left. Remove files or let them expire.`,
    );
}

/** 507: the client can do nothing about it, and trying again at once would not help. */
export const diskFull = (): WireError => refused(507, "The server has no disk space left for this file");

function refused(status: number, detail: string): WireError {
  return WireError.of(requestFailure(status, "bad_request", detail));
}
