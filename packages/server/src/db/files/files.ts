/** Rows of files. The bytes are in the file store under the row's id. */
import { sql } from "kysely";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";

type FileFacts = {
  readonly id: string;
  /** First part of its URL: eight hexadecimal digits. */
  readonly store: string;
  /** Last part of its URL, too long to guess. */
  readonly name: string;
  readonly userId: string;
  readonly contentType: string;
  /** The owner's name for it. */
  readonly fileName?: string | null;
  /** JSON. Null: anyone with the URL may read it. */
  readonly acl: string | null;
};

export type NewFile = FileFacts & {
  /** Null before the bytes arrive. */
  readonly sizeBytes: number | null;
  readonly origin: "upload" | "output";
  readonly requestId: string | null;
  /** Set on uploads. */
  readonly hash?: string;
  /** Request whose input held it as a data URI. */
  readonly inputOf?: string;
  /** Null: never. */
  readonly lifetimeSeconds: number | null;
};

export type StoredFile = FileFacts & {
  readonly fileName: string | null;
  readonly sizeBytes: number;
  readonly isExpired: boolean;
};

/** Inserts rows of files. Existing ones stay unchanged. */
export async function insertFiles(db: Database, files: readonly NewFile[]): Promise<void> {
  if (files.length === 0) return;
  const rows = files.map((file) => ({
    id: file.id,
    store: file.store,
    name: file.name,
    user_id: file.userId,
    content_type: file.contentType,
    file_name: file.fileName ?? null,
    size_bytes: file.sizeBytes,
    state: file.sizeBytes === null ? ("pending" as const) : ("complete" as const),
    origin: file.origin,
    request_id: file.requestId,
    acl: file.acl,
    content_hash: file.hash ?? null,
    input_of: file.inputOf ?? null,
    expires_at:
      file.lifetimeSeconds === null
        ? null
        : sql<Date>`now() + make_interval(secs => ${file.lifetimeSeconds})`,
  }));
  await db
    .insertInto("files")
    .values(rows)
    .onConflict((conflict) => conflict.column("id").doNothing())
    .execute();
}

/** Returns the complete file at a URL. Expired ones too: requests accepted before may still use them. */
export async function findFile(
  db: Database,
  { store, name }: { readonly store: string; readonly name: string },
): Promise<StoredFile | undefined> {
  const query = db
    .selectFrom("files")
    .select([
      "id",
      "store",
      "name",
      "user_id as userId",
      "content_type as contentType",
      "file_name as fileName",
      "size_bytes as sizeBytes",
      "acl",
      sql<boolean>`expires_at is not null and expires_at <= now()`.as("isExpired"),
    ])
    .where("store", "=", store)
    .where("name", "=", name)
    .where("state", "=", "complete");
  const row = await persistently(() => query.executeTakeFirst());
  return row === undefined ? undefined : { ...row, sizeBytes: row.sizeBytes ?? 0 };
}

/** Marks a file complete: its bytes are in the store, and its lifetime starts. @returns false when it was not pending */
export async function completeFile(
  db: Database,
  id: string,
  { sizeBytes, hash }: { readonly sizeBytes: number; readonly hash: string },
): Promise<boolean> {
  const update = db
    .updateTable("files")
    .set({
      state: "complete",
      size_bytes: sizeBytes,
      content_hash: hash,
      expires_at: sql<Date>`now() + (expires_at - created_at)`,
    })
    .where("id", "=", id)
    .where("state", "=", "pending")
    .returning("id");
  return (await persistently(() => update.execute())).length > 0;
}

export type Deletion =
  | {
      /** The caller deletes the bytes, and the parts of an incomplete file. */
      readonly id: string;
      readonly uploadId: string | null;
    }
  /** An unfinished request of the same user reads it. Requests of other users do not count. */
  | { readonly usedBy: string };

/** Deletes the row of a user's own file. @returns undefined when the user has no such file */
export async function deleteOwnFile(
  db: Database,
  { store, name }: { readonly store: string; readonly name: string },
  userId: string,
): Promise<Deletion | undefined> {
  const statement = sql<{ id: string; uploadId: string | null; usedBy: string | null }>`
    with file as (
      select files.id, uploads.id as upload_id, (
        select requests.id from requests
        where user_id = ${userId} and state in ('queued', 'running') and strpos(input, files.name) > 0
        limit 1) as used_by
      from files left join uploads on file_id = files.id
      where files.store = ${store} and files.name = ${name} and files.user_id = ${userId}),
    gone as (delete from files using file where files.id = file.id and file.used_by is null)
    select id, upload_id as "uploadId", used_by as "usedBy" from file`;
  const [row] = (await persistently(() => statement.execute(db))).rows;
  if (row === undefined) return undefined;
  return row.usedBy === null ? { id: row.id, uploadId: row.uploadId } : { usedBy: row.usedBy };
}

/**
 * Deletes the rows of files that expired and that no unfinished request uses, and of files that came as data URIs in a
 * request whose payload is gone.
 *
 * @returns their ids, at most `limit`. The caller deletes the bytes
 */
export async function removeExpiredFiles(db: Database, limit: number): Promise<string[]> {
  const statement = sql<{ id: string }>`
    delete from files where id in (
      select id from files
      where (expires_at <= now() and state = 'complete' and not exists (
          select from requests where state in ('queued', 'running') and strpos(input, files.name) > 0))
        or (input_of is not null and created_at < now() - interval '1 hour' and not exists (
          select from requests where requests.id = input_of and payload_removed_at is null))
      limit ${limit})
    returning id`;
  const { rows } = await persistently(() => statement.execute(db));
  return rows.map(({ id }) => id);
}

/** Returns those of the ids that have a row. */
export async function knownFiles(db: Database, ids: readonly string[]): Promise<Set<string>> {
  const query = db.selectFrom("files").select("id").where(sql<boolean>`id = any(${ids}::uuid[])`);
  const rows = await persistently(() => query.execute());
  return new Set(rows.map(({ id }) => id));
}
