/**
 * Submissions that a client repeats under one key are one request: the key's row and the request's are written together,
 * so that of two that come at the same time one wins and the other finds it.
 */
import { sql } from "kysely";
import type { Database } from "../database.ts";
import { persistently } from "../persist.ts";
import { type NewRequest, requestInsert } from "./requests.ts";

export type IdempotencyKey = {
  readonly key: string;
  /** sha256 of what was submitted under it. */
  readonly bodyHash: Buffer;
};

/** The request that stands for a key, and whether it was submitted with the same words. */
export type KeyedRequest = { readonly id: string; readonly isSameBody: boolean };

/** Keys count for so long; a later submission is a new one. */
const keyHours = 24;

/** Signals that another request has the key, and takes the transaction back. */
class KeyTaken extends Error {}

/** Inserts a request under a key, or finds the one that already has it. */
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
      // The winner is found now, unless its key has just run out: then the place is free.
      if (!(error instanceof KeyTaken)) throw error;
    }
  }
}

async function insertBoth(db: Database, request: NewRequest, { key, bodyHash }: IdempotencyKey) {
  await db.transaction().execute(async (transaction) => {
    // One of this name that has expired; the others are for `removeOldKeys`.
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

/** The request that was submitted under a key, or undefined when there is none or that was too long ago. */
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

/** Keys that a user can have; beyond that the oldest expire early. */
const mostPerUser = 10_000;

/** Removes the keys that count no more, and those above the limit of a user. */
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
