/** Short-lived tokens with which the Python client uploads. Only their hash is kept. */
import { createHash, randomBytes } from "node:crypto";
import { sql } from "kysely";
import type { Caller } from "../access/caller.ts";
import type { Database } from "../db/database.ts";
import { persistently } from "../db/persist.ts";

export type CdnToken = { readonly token: string; readonly expiresAt: Date };

export async function issueCdnToken(db: Database, caller: Caller, seconds: number): Promise<CdnToken> {
  const token = randomBytes(32).toString("base64url");
  const expiresAt = new Date(Date.now() + seconds * 1000);
  const insert = db.insertInto("tokens").values({
    token_hash: hashOf(token),
    kind: "cdn",
    user_id: caller.userId,
    key_id: caller.keyId,
    allowed_apps: null,
    expires_at: expiresAt,
  });
  await persistently(() => insert.onConflict((conflict) => conflict.doNothing()).execute());
  return { token, expiresAt };
}

/** Whose token it is; undefined for one that is unknown, expired, or made with a key that was revoked. */
export async function verifyCdnToken(db: Database, token: string): Promise<Caller | undefined> {
  const query = db
    .selectFrom("tokens")
    .leftJoin("keys", "keys.id", "tokens.key_id")
    .select(["tokens.user_id as userId", "tokens.key_id as keyId"])
    .where("token_hash", "=", hashOf(token))
    .where("kind", "=", "cdn")
    .where("expires_at", ">", sql<Date>`now()`)
    .where("keys.revoked_at", "is", null);
  const row = await persistently(() => query.executeTakeFirst());
  return row === undefined ? undefined : { ...row, scope: "api" };
}

/** Tokens that are of no use any more. */
export async function removeExpiredTokens(db: Database): Promise<void> {
  const statement = db.deleteFrom("tokens").where("expires_at", "<=", sql<Date>`now()`);
  await persistently(() => statement.execute());
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
