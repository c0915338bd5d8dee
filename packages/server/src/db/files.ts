/** Rows of files. The bytes lie in the file store under the row's id. */
import { sql } from "kysely";
import type { Database } from "./database.ts";

export type NewFile = {
  readonly id: string;
  /** First part of its address: eight hexadecimal digits. */
  readonly store: string;
  /** Last part of its address, too long to be guessed. */
  readonly name: string;
  readonly userId: string;
  readonly contentType: string;
  readonly sizeBytes: number;
  readonly origin: "upload" | "output";
  readonly requestId: string | null;
  /** JSON, or null for a file that everybody may read who knows its address. */
  readonly acl: string | null;
  /** Null: never. */
  readonly lifetimeSeconds: number | null;
};

/** Adds the rows of files whose bytes are in the store. */
export async function insertFiles(db: Database, files: readonly NewFile[]): Promise<void> {
  if (files.length === 0) return;
  const rows = files.map((file) => ({
    id: file.id,
    store: file.store,
    name: file.name,
    user_id: file.userId,
    content_type: file.contentType,
    size_bytes: file.sizeBytes,
    state: "complete" as const,
    origin: file.origin,
    request_id: file.requestId,
    acl: file.acl,
    expires_at:
      file.lifetimeSeconds === null
        ? null
        : sql<Date>`now() + make_interval(secs => ${file.lifetimeSeconds})`,
  }));
  await db.insertInto("files").values(rows).execute();
}
