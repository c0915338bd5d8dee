/**
 * Deletes expired items: files, unfinished uploads, payloads and folders of old requests, tokens, and orphaned files.
 *
 * Rows are deleted first. Files whose row was deleted before a crash are removed later as orphans.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { validate as isUuid } from "uuid";
import type { Config } from "../config/config.ts";
import type { Database } from "../db/database.ts";
import { knownFiles, removeExpiredFiles } from "../db/files/files.ts";
import { removeExpiredReservations } from "../db/files/reservations.ts";
import { knownUploads, removeExpiredUploads } from "../db/files/uploads.ts";
import { removeOldKeys } from "../db/requests/idempotency.ts";
import { endedRequests, recentRequests, removeOldPayloads } from "../db/requests/payloads.ts";
import { deleteExpiredTokens } from "../db/tokens.ts";
import type { Signer } from "../storage/signer.ts";
import type { FileStore, StoreEntry } from "../storage/stores/file-store.ts";
import { RequestFolder } from "./confine/request-folder.ts";

export type RetentionDeps = {
  readonly db: Database;
  readonly store: FileStore;
  readonly signer: Signer;
  readonly config: Pick<Config, "home" | "storage">;
  readonly log: Logger;
};

/** Short enough for files that expire after a minute. */
const sweepMs = 30_000;
const dayMs = 24 * 3600_000;
/** Longer, because it lists the whole store and orphans do no harm. */
const orphanMs = 6 * 3600_000;
/** Rows per statement, so that no statement takes long. */
const batch = 500;

/** How many items one sweep deleted. */
export type Swept = {
  readonly files: number;
  readonly uploads: number;
  readonly payloads: number;
  readonly folders: number;
};

export class Retention {
  readonly #deps: RetentionDeps;
  readonly #over = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(deps: RetentionDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Returns when the current sweep has ended. */
  async stop(): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#over;
    const { log } = this.#deps;
    for (let orphansAt = performance.now() + orphanMs; !signal.aborted; ) {
      try {
        const swept = await sweep(this.#deps);
        if (Object.values(swept).some((count) => count > 0))
          log.info(swept, "retention: expired items removed");
        if (performance.now() > orphansAt) {
          orphansAt = performance.now() + orphanMs;
          await this.#sweepOrphans();
        }
      } catch (error) {
        log.warn({ err: error }, "retention: failed, retrying");
      }
      await delay(sweepMs, undefined, { signal }).catch(() => {});
    }
  }

  async #sweepOrphans(): Promise<void> {
    const { store, signer, log } = this.#deps;
    if (await store.belongsTo(signer.databaseId)) {
      log.info({ orphans: await sweepOrphans(this.#deps) }, "retention: orphaned files removed");
    } else {
      log.warn("retention: file store belongs to another database, orphaned files kept");
    }
  }
}

/** Deletes everything that has expired. */
export async function sweep({
  db,
  store,
  config,
}: Pick<RetentionDeps, "db" | "store" | "config">): Promise<Swept> {
  const { payloadDays, requestFolderDays } = config.storage;
  const uploads = await removeExpiredUploads(db);
  for (const id of uploads) await store.removeParts(id);
  const payloads = await inBatches(() => removeOldPayloads(db, payloadDays, batch));
  const files = await inBatches(async () => {
    const ids = await removeExpiredFiles(db, batch);
    for (const id of ids) await store.remove(id);
    return ids;
  });
  await deleteExpiredTokens(db);
  await removeExpiredReservations(db);
  await removeOldKeys(db);
  const folders = await sweepFolders(db, config.home, requestFolderDays);
  return { files, uploads: uploads.length, payloads, folders };
}

async function inBatches(work: () => Promise<readonly string[]>): Promise<number> {
  let count = 0;
  for (;;) {
    const done = (await work()).length;
    count += done;
    if (done < batch) return count;
  }
}

async function sweepFolders(db: Database, home: string, days: number): Promise<number> {
  const ids = (await RequestFolder.list(home)).filter((id) => isUuid(id));
  const kept = await recentRequests(db, ids, days);
  // A recent folder without a row may belong to another database, which may come back.
  const gone = ids.filter((id) => !kept.has(id) && createdAt(id) < Date.now() - days * dayMs);
  for (const id of gone) await new RequestFolder(home, id).remove();
  // No worker removes them if the request ended on another machine or its server died.
  for (const id of await endedRequests(db, [...kept]))
    await new RequestFolder(home, id).removeIntermediates();
  return gone.length;
}

/**
 * Deletes files without a row that are older than a day: their upload was aborted, or a server died before it wrote the row.
 *
 * @returns how many
 */
export async function sweepOrphans(
  { db, store }: Pick<RetentionDeps, "db" | "store">,
  olderThanMs = dayMs,
): Promise<number> {
  let count = 0;
  let group: StoreEntry[] = [];
  const removeGroup = async () => {
    const files = group.filter(({ kind }) => kind === "file").map(({ id }) => id);
    const uploads = group.filter(({ kind }) => kind === "upload").map(({ id }) => id);
    const known = new Set([...(await knownFiles(db, files)), ...(await knownUploads(db, uploads))]);
    for (const { id, kind } of group.filter((entry) => !known.has(entry.id))) {
      await (kind === "file" ? store.remove(id) : store.removeParts(id));
      count++;
    }
    group = [];
  };
  for await (const entry of store.list()) {
    if (isUuid(entry.id) && createdAt(entry.id) < Date.now() - olderThanMs) group.push(entry);
    if (group.length >= batch) await removeGroup();
  }
  await removeGroup();
  return count;
}

/** Ids are UUIDs of version 7, which begin with the time in ms. Unlike a file's mtime, a trainer cannot set it. */
function createdAt(id: string): number {
  return Number.parseInt(id.replace("-", "").slice(0, 12), 16);
}
