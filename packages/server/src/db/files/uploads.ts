/** Rows of uploads: announced files and their received parts. */
import { sql } from "kysely";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";
import { insertFiles, type NewFile } from "./files.ts";

export type Upload = {
  readonly id: string;
  readonly fileId: string;
  readonly userId: string;
  readonly store: string;
  readonly name: string;
  readonly isComplete: boolean;
  /** sha256 of the complete upload. */
  readonly hash: string | null;
};

export type UploadPart = { readonly number: number; readonly sizeBytes: number; readonly etag: string };

/** Announces a file, to be uploaded within `seconds`. */
export async function insertUpload(db: Database, id: string, file: NewFile, seconds: number): Promise<void> {
  await persistently(() =>
    db.transaction().execute(async (transaction) => {
      await insertFiles(transaction, [file]);
      await transaction
        .insertInto("uploads")
        .values({
          id,
          file_id: file.id,
          expires_at: sql<Date>`now() + make_interval(secs => ${seconds})`,
        })
        .onConflict((conflict) => conflict.column("id").doNothing())
        .execute();
    }),
  );
}

/** Returns an upload that has not expired. */
export async function findUpload(db: Database, id: string): Promise<Upload | undefined> {
  const query = db
    .selectFrom("uploads")
    .innerJoin("files", "files.id", "uploads.file_id")
    .select([
      "uploads.id as id",
      "file_id as fileId",
      "user_id as userId",
      "store",
      "name",
      sql<boolean>`state = 'complete'`.as("isComplete"),
      "content_hash as hash",
    ])
    .where("uploads.id", "=", id)
    .where("uploads.expires_at", ">", sql<Date>`now()`);
  return persistently(() => query.executeTakeFirst());
}

/** Records a part whose bytes are in the store. */
export async function recordPart(db: Database, uploadId: string, part: UploadPart): Promise<void> {
  const values = { size_bytes: part.sizeBytes, etag: part.etag };
  const insert = db
    .insertInto("upload_parts")
    .values({ upload_id: uploadId, part_number: part.number, ...values })
    .onConflict((conflict) => conflict.columns(["upload_id", "part_number"]).doUpdateSet(values));
  await persistently(() => insert.execute());
}

/** Returns the received parts, in order. */
export async function partsOf(db: Database, uploadId: string): Promise<UploadPart[]> {
  const query = db
    .selectFrom("upload_parts")
    .select(["part_number as number", "size_bytes as sizeBytes", "etag"])
    .where("upload_id", "=", uploadId)
    .orderBy("part_number");
  return persistently(() => query.execute());
}

/** Deletes the rows of the parts of a complete upload. */
export async function forgetParts(db: Database, uploadId: string): Promise<void> {
  const statement = db.deleteFrom("upload_parts").where("upload_id", "=", uploadId);
  await persistently(() => statement.execute());
}

/** Deletes expired uploads and their files. @returns ids of the uploads. The caller deletes the bytes */
export async function removeExpiredUploads(db: Database): Promise<string[]> {
  const statement = sql<{ id: string }>`
    with gone as (delete from uploads where expires_at <= now() returning id, file_id),
      never as (delete from files where state = 'pending' and id in (select file_id from gone))
    select id from gone`;
  const { rows } = await persistently(() => statement.execute(db));
  return rows.map(({ id }) => id);
}

/** Returns those of the ids that belong to unexpired uploads. */
export async function knownUploads(db: Database, ids: readonly string[]): Promise<Set<string>> {
  const query = db
    .selectFrom("uploads")
    .select("id")
    .where("id", "in", [...ids, ""]);
  const rows = await persistently(() => query.execute());
  return new Set(rows.map(({ id }) => id));
}
