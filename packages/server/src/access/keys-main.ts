/**
 * Program that creates, lists and revokes keys: `<action> <options as JSON>`. The service may be running or not.
 *
 * The last line of stdout is one JSON object, the result or `{"error": ...}`. `ltx-trainer keys` renders it.
 */
import {
  AppError,
  CreateKeyOptions,
  type KeysAction,
  parseOptions,
  RevokeKeyOptions,
  toAppError,
} from "@ltx-trainer/contract";
import { readConfig } from "../config/config.ts";
import type { Database } from "../db/database.ts";
import { migrate } from "../db/migrate.ts";
import { makeLogger } from "../log.ts";
import { withDatabase } from "../start/open-for-tool.ts";
import { explainStartFailure } from "../start/start-errors.ts";
import { createKey, listKeys, revokeKey } from "./keys.ts";

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
      message: `id: got ${id}, expected the id of an active key`,
      remedy: "Run `ltx-trainer keys list` to see the ids.",
    });
  },
};

try {
  const [action = "", options = "{}"] = process.argv.slice(2);
  const act = actions[action as KeysAction];
  const config = readConfig(process.env);
  const work = async (db: Database) => {
    await migrate(db, makeLogger("silent"));
    return act(db, JSON.parse(options));
  };
  const answer = await withDatabase(config, work).catch((error: unknown) => {
    throw explainStartFailure(error, config);
  });
  console.log(JSON.stringify(answer));
} catch (error) {
  const failure = toAppError(error);
  if (failure.kind === "internal") console.error(failure.cause);
  console.log(JSON.stringify({ error: failure.toJSON() }));
  process.exitCode = failure.exitCode;
}
