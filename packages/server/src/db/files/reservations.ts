/**
 * Reservations of bytes that are about to be stored. They count towards the limits at once, so that parallel uploads cannot
 * each use what is left.
 */
import { sql } from "kysely";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";

/** A reservation expires when it is not renewed for this long. */
const reservationSeconds = 60;

export type Reserved = {
  /** UUID, made by the caller, so that the statements are idempotent. */
  readonly id: string;
  readonly userId: string;
  /** Set for a part of an upload. */
  readonly part?: { readonly uploadId: string; readonly number: number };
  readonly bytes: number;
};

export type ByteLimits = {
  readonly userBytes: number | undefined;
  /** Limit on the parts of one upload together. */
  readonly uploadBytes: number;
};

/** The limit that was exceeded, and what it leaves. */
export type OverLimit = { readonly limit: "user" | "upload"; readonly left: number };

/** Reserves bytes, or changes a reservation. @returns the exceeded limit. Nothing has changed then */
export async function reserveBytes(
  db: Database,
  wanted: Reserved,
  limits: ByteLimits,
): Promise<OverLimit | undefined> {
  return persistently(() =>
    db.transaction().execute(async (transaction) => {
      // Serialized per user: of two concurrent calls the second counts the first.
      await sql`select pg_advisory_xact_lock(hashtextextended(${`bytes ${wanted.userId}`}, 0))`.execute(
        transaction,
      );
      const over = await overLimit(transaction, wanted, limits);
      if (over === undefined) await write(transaction, wanted);
      return over;
    }),
  );
}

async function overLimit(
  db: Database,
  wanted: Reserved,
  { userBytes, uploadBytes }: ByteLimits,
): Promise<OverLimit | undefined> {
  if (wanted.part !== undefined) {
    const left = uploadBytes - (await bytesOfOtherParts(db, wanted.part));
    if (wanted.bytes > left) return { limit: "upload", left };
  }
  if (userBytes === undefined) return undefined;
  const left = userBytes - (await usedBytes(db, wanted.userId, wanted));
  return wanted.bytes > left ? { limit: "user", left } : undefined;
}

async function write(db: Database, { id, userId, part, bytes }: Reserved): Promise<void> {
  const expiresAt = sql<Date>`now() + make_interval(secs => ${reservationSeconds})`;
  await db
    .insertInto("byte_reservations")
    .values({
      id,
      user_id: userId,
      upload_id: part?.uploadId ?? null,
      part_number: part?.number ?? null,
      bytes,
      expires_at: expiresAt,
    })
    .onConflict((conflict) => conflict.column("id").doUpdateSet({ bytes, expires_at: expiresAt }))
    .execute();
}

async function bytesOfOtherParts(db: Database, part: { uploadId: string; number: number }): Promise<number> {
  const { rows } = await sql<{ bytes: number }>`
    select (
      (select coalesce(sum(size_bytes), 0) from upload_parts
        where upload_id = ${part.uploadId} and part_number <> ${part.number})
      + (select coalesce(sum(bytes), 0) from byte_reservations
        where upload_id = ${part.uploadId} and part_number <> ${part.number} and expires_at > now())
    )::bigint as bytes`.execute(db);
  return rows[0]?.bytes ?? 0;
}

/**
 * Returns the bytes that count towards a user's quota: files, parts, uploads in progress, and payloads of requests.
 *
 * @param except a reservation about to change, and the part that it replaces
 */
export async function usedBytes(
  db: Database,
  userId: string,
  except?: Pick<Reserved, "id" | "part">,
): Promise<number> {
  const { uploadId = "", number = 0 } = except?.part ?? {};
  const query = sql<{ bytes: number }>`
    select (
      (select coalesce(sum(size_bytes), 0) from files where user_id = ${userId})
      + (select coalesce(sum(upload_parts.size_bytes), 0) from upload_parts
        join uploads on uploads.id = upload_id join files on files.id = file_id
        where user_id = ${userId} and not (upload_id = ${uploadId} and part_number = ${number}))
      + (select coalesce(sum(bytes), 0) from byte_reservations
        where user_id = ${userId} and expires_at > now() and id is distinct from ${except?.id ?? null}::uuid)
      + (select coalesce(sum(payload_bytes), 0) from requests
        where user_id = ${userId} and payload_removed_at is null)
    )::bigint as bytes`;
  const { rows } = await query.execute(db);
  return rows[0]?.bytes ?? 0;
}

/** Renews reservations. */
export async function prolongReservations(db: Database, ids: readonly string[]): Promise<void> {
  const update = sql`
    update byte_reservations set expires_at = now() + make_interval(secs => ${reservationSeconds})
    where id = any(${ids}::uuid[])`;
  await persistently(() => update.execute(db));
}

/** Ends a reservation: in the transaction that adds the row of the received bytes, or when there are none. */
export async function releaseBytes(db: Database, id: string): Promise<void> {
  await db.deleteFrom("byte_reservations").where("id", "=", id).execute();
}

/** Deletes expired reservations. */
export async function removeExpiredReservations(db: Database): Promise<void> {
  const statement = db.deleteFrom("byte_reservations").where("expires_at", "<=", sql<Date>`now()`);
  await persistently(() => statement.execute());
}
