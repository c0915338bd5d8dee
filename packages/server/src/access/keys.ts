/**
 * API keys: `<id>:<secret>`, both random. The database holds only a hash of the secret. The key itself is shown once.
 *
 * sha256 is enough: the secret has 128 random bits, which a slow hash would not make harder to guess.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { sql } from "kysely";
import { v4 as uuidv4 } from "uuid";
import type { Database } from "../db/database.ts";
import { persistently } from "../db/persist.ts";
import type { Caller } from "./caller.ts";

/** Owner of requests when keys are created without a user. */
export const defaultUser = "local";

export type NewKey = {
  readonly name: string;
  readonly userId: string;
  readonly scope: Caller["scope"];
};

/** A new key. It is shown once. */
export type CreatedKey = { readonly id: string; readonly key: string };

export async function createKey(db: Database, { name, userId, scope }: NewKey): Promise<CreatedKey> {
  const id = uuidv4();
  const secret = randomBytes(16).toString("hex");
  await db
    .insertInto("keys")
    .values({ id, name, user_id: userId, scope, secret_hash: hashOf(secret) })
    .execute();
  return { id, key: `${id}:${secret}` };
}

/** Returns the holder of a key, or undefined for an unknown or revoked one. */
export async function verifyKey(db: Database, key: string): Promise<Caller | undefined> {
  const [, id = "", secret = ""] = /^([^:]*):(.*)$/s.exec(key) ?? [];
  // PostgreSQL's text cannot hold this character, and no id has it.
  if (id.includes("\u0000")) return undefined;
  const query = db
    .selectFrom("keys")
    .select(["id", "user_id", "scope", "secret_hash"])
    .where("id", "=", id)
    .where("revoked_at", "is", null);
  const row = await persistently(() => query.executeTakeFirst());
  // Compare without a row too, so that timing does not reveal which ids exist.
  const isRight = timingSafeEqual(
    row?.secret_hash ?? hashOf(randomBytes(16).toString("hex")),
    hashOf(secret),
  );
  return row !== undefined && isRight ? { userId: row.user_id, keyId: row.id, scope: row.scope } : undefined;
}

/** Records that a key was used now. */
export async function recordKeyUse(db: Database, id: string): Promise<void> {
  await db.updateTable("keys").set({ last_used_at: sql<Date>`now()` }).where("id", "=", id).execute();
}

/** A key without its secret. */
export type KeySummary = {
  readonly id: string;
  readonly name: string;
  readonly userId: string;
  readonly scope: Caller["scope"];
  readonly createdAt: Date;
  /** Precise to the minute. */
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
};

/** Returns all keys, revoked ones included, newest first. */
export async function listKeys(db: Database): Promise<KeySummary[]> {
  const query = db
    .selectFrom("keys")
    .select([
      "id",
      "name",
      "user_id as userId",
      "scope",
      "created_at as createdAt",
      "last_used_at as lastUsedAt",
      "revoked_at as revokedAt",
    ])
    .orderBy("created_at", "desc")
    .orderBy("id");
  return persistently(() => query.execute());
}

/** Revokes a key and the tokens made with it. Returns it, or undefined when there is no active key of this id. */
export async function revokeKey(db: Database, id: string): Promise<{ readonly name: string } | undefined> {
  const statement = db
    .updateTable("keys")
    .set({ revoked_at: sql<Date>`now()` })
    .where("id", "=", id)
    .where("revoked_at", "is", null)
    .returning("name");
  return persistently(() => statement.executeTakeFirst());
}

/** Returns the number of active keys. */
export async function countKeys(db: Database): Promise<number> {
  const query = db
    .selectFrom("keys")
    .select(sql<number>`count(*)`.as("count"))
    .where("revoked_at", "is", null);
  return (await query.executeTakeFirstOrThrow()).count;
}

function hashOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}
