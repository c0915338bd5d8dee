/** Rows of tokens; see `access/tokens.ts`. */
import { sql } from "kysely";
import type { Database } from "./database.ts";
import { persistently } from "./persist.ts";

export type NewTokenRow = {
  /** sha256 of the token. */
  readonly hash: Buffer;
  readonly kind: "app" | "cdn";
  readonly userId: string;
  readonly keyId: string | null;
  readonly lifetimeSeconds: number;
  readonly allowedApps: readonly string[] | null;
};

export type TokenRow = {
  readonly userId: string;
  readonly keyId: string | null;
  readonly allowedApps: readonly string[] | null;
};

/** @returns the expiry, by the database's clock */
export async function insertToken(db: Database, row: NewTokenRow): Promise<Date> {
  const insert = db
    .insertInto("tokens")
    .values({
      token_hash: row.hash,
      kind: row.kind,
      user_id: row.userId,
      key_id: row.keyId,
      allowed_apps: row.allowedApps === null ? null : [...row.allowedApps],
      expires_at: sql<Date>`now() + make_interval(secs => ${row.lifetimeSeconds})`,
    })
    // Idempotent: a second run finds the same row.
    .onConflict((conflict) => conflict.column("token_hash").doUpdateSet({ user_id: row.userId }))
    .returning("expires_at");
  return (await persistently(() => insert.executeTakeFirstOrThrow())).expires_at;
}

/** Returns a token that has not expired and whose key is active. */
export async function findToken(
  db: Database,
  kind: "app" | "cdn",
  hash: Buffer,
): Promise<TokenRow | undefined> {
  const query = db
    .selectFrom("tokens")
    .leftJoin("keys", "keys.id", "tokens.key_id")
    .select(["tokens.user_id as userId", "tokens.key_id as keyId", "tokens.allowed_apps as allowedApps"])
    .where("token_hash", "=", hash)
    .where("kind", "=", kind)
    .where("expires_at", ">", sql<Date>`now()`)
    .where("keys.revoked_at", "is", null);
  return persistently(() => query.executeTakeFirst());
}

/** Deletes expired tokens. */
export async function deleteExpiredTokens(db: Database): Promise<void> {
  const statement = db.deleteFrom("tokens").where("expires_at", "<", sql<Date>`now()`);
  await persistently(() => statement.execute());
}
