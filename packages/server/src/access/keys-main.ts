/**
 * Entry of the program that makes, lists and revokes keys, beside a service or without one: `<action> <options as JSON>`.
 *
 * Its last line of stdout is one JSON object, the answer or `{"error": ...}`; `ltx-trainer keys` shows it to people.
 */
import {
  AppError,
  CreateKeyOptions,
  type KeysAction,
  parseOptions,
  RevokeKeyOptions,
  toAppError,
} from "@ltx-trainer/contract";
import { sql } from "kysely";
import { type Config, readConfig } from "../config.ts";
import { type Database, type DatabaseAddress, openDatabase } from "../db/database.ts";
import { migrate } from "../db/migrate.ts";
import { makeLogger } from "../log.ts";
import { EmbeddedPostgres } from "../postgres/embedded-postgres.ts";
import { explainStartFailure, makeDataFolder } from "../start-errors.ts";
import { createKey, listKeys, revokeKey } from "./keys.ts";

const log = makeLogger("silent");

const actions: Record<KeysAction, (db: Database, options: unknown) => Promise<Record<string, unknown>>> = {
  create: async (db, options) => {
    const { name, user, scope } = parseOptions(CreateKeyOptions, options);
    const { id, key } = await createKey(db, { name, userId: user, scope });
    return { key, name, id, scope, user };
  },
  list: async (db) => ({
    keys: (await listKeys(db)).map(({ userId, createdAt, lastUsedAt, revokedAt, ...key }) => ({
      ...key,
      user: userId,
      created_at: createdAt.toISOString(),
      last_used_at: lastUsedAt?.toISOString() ?? null,
      revoked_at: revokedAt?.toISOString() ?? null,
    })),
  }),
  revoke: async (db, options) => {
    const { id } = parseOptions(RevokeKeyOptions, options);
    const revoked = await revokeKey(db, id);
    if (revoked !== undefined) return { id, name: revoked.name };
    throw new AppError({
      code: "invalid_options",
      message: `id: got ${id}, expected the id of a key that can be used`,
      remedy: "`ltx-trainer keys list` shows them.",
    });
  },
};

/** Uses the database that a running service has, or starts it for the moment. */
async function withDatabase<Result>(
  config: Config,
  work: (db: Database) => Promise<Result>,
): Promise<Result> {
  if (config.databaseUrl !== undefined) return connected(config.databaseUrl, work);
  makeDataFolder(config.home);
  const postgres = new EmbeddedPostgres(config.home, log);
  if (await isRunning(postgres)) return connected(postgres.address, work);
  // One that is there but does not answer yet belongs to a service that starts.
  const isOurs = postgres.pid === undefined;
  await postgres.start();
  try {
    return await connected(postgres.address, work);
  } finally {
    if (isOurs) await postgres.stop();
  }
}

async function isRunning(postgres: EmbeddedPostgres): Promise<boolean> {
  if (postgres.pid === undefined) return false;
  try {
    await connected(postgres.address, (db) => sql`select`.execute(db));
    return true;
  } catch {
    return false;
  }
}

async function connected<Result>(
  address: DatabaseAddress,
  work: (db: Database) => Promise<Result>,
): Promise<Result> {
  const db = openDatabase(address, { connections: 2, log });
  try {
    await migrate(db, log);
    return await work(db);
  } finally {
    await db.destroy();
  }
}

try {
  const [action = "", options = "{}"] = process.argv.slice(2);
  const act = actions[action as KeysAction];
  const config = readConfig(process.env);
  const answer = await withDatabase(config, (db) => act(db, JSON.parse(options))).catch((error: unknown) => {
    throw explainStartFailure(error, config);
  });
  console.log(JSON.stringify(answer));
} catch (error) {
  const failure = toAppError(error);
  if (failure.kind === "internal") console.error(failure.cause);
  console.log(JSON.stringify({ error: failure.toJSON() }));
  process.exitCode = failure.exitCode;
}
