/**
 * Idempotency keys: submissions with the same key are one request. The rows of key and request are inserted in one
 * transaction, so that of two concurrent submissions one wins and the other finds it.
 */
import { sql } from "kysely";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";
import { type NewRequest, requestInsert } from "./requests.ts";

export type IdempotencyKey = {
  readonly key: string;
  /** sha256 of the submitted body. */
  readonly bodyHash: Buffer;
};

/** The request of a key, and whether it was submitted with the same body. */
export type KeyedRequest = { readonly id: string; readonly isSameBody: boolean };

/** Lifetime of a key. A later submission is a new request. */
const keyHours = 24;

/** Rolls the transaction back: another request has the key. */
class KeyTaken extends Error {}

/** Inserts a request under a key, or returns the one that has it. */
export async function insertRequestOnce(
  db: Database,
  request: NewRequest,
  key: IdempotencyKey,
): Promise<KeyedRequest> {
  for (;;) {
    const earlier = await findRequestByKey(db, request.userId, key);
    if (earlier !== undefined) return earlier;
    try {
      await persistently(() => insertBoth(db, request, key));
      return { id: request.id, isSameBody: true };
    } catch (error) {
      // The winner is there now, unless its key has just expired. Then the key is free.
      if (!(error instanceof KeyTaken)) throw error;
    }
  }
}

async function insertBoth(db: Database, request: NewRequest, { key, bodyHash }: IdempotencyKey) {
  await db.transaction().execute(async (transaction) => {
    // Only an expired key of this name. `removeOldKeys` deletes the others.
    await transaction
      .deleteFrom("idempotency_keys")
      .where("user_id", "=", request.userId)
      .where("key", "=", key)
      .where("created_at", "<", oldest)
      .execute();
    await requestInsert(transaction, request).execute();
    const taken = await transaction
      .insertInto("idempotency_keys")
      .values({ user_id: request.userId, key, body_hash: bodyHash, request_id: request.id })
      .onConflict((conflict) => conflict.columns(["user_id", "key"]).doNothing())
      .returning("request_id")
      .executeTakeFirst();
    if (taken === undefined) throw new KeyTaken();
  });
}

/** Returns the request of a key that has not expired. */
export async function findRequestByKey(
  db: Database,
  userId: string,
  { key, bodyHash }: IdempotencyKey,
): Promise<KeyedRequest | undefined> {
  const query = db
    .selectFrom("idempotency_keys")
    .select(["request_id as id", sql<boolean>`body_hash = ${bodyHash}`.as("isSameBody")])
    .where("user_id", "=", userId)
    .where("key", "=", key)
    .where("created_at", ">=", oldest);
  return persistently(() => query.executeTakeFirst());
}

/** Keys per user. Above it the oldest expire early. */
const mostPerUser = 10_000;

/** Deletes expired keys, and the oldest above the limit per user. */
export async function removeOldKeys(db: Database, most = mostPerUser): Promise<void> {
  const statement = sql`
    delete from idempotency_keys where created_at < ${oldest} or (user_id, key) in (
      select user_id, key from (
        select user_id, key, row_number() over (partition by user_id order by created_at desc) as place
        from idempotency_keys) as keys
      where place > ${most})`;
  await persistently(() => statement.execute(db));
}

const oldest = sql<Date>`now() - make_interval(hours => ${keyHours})`;
