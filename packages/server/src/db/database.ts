/** The connection to PostgreSQL: a pool, typed by `schema.ts`. */
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import type { Logger } from "pino";
import type { PostgresAddress } from "../postgres/embedded-postgres.ts";
import type { Tables } from "./schema.ts";

export type Database = Kysely<Tables>;

/** A server of our own, or the address of one in the form of a URL. */
export type DatabaseAddress = PostgresAddress | string;

/** How the driver wants it. */
export function connectionOptions(address: DatabaseAddress): pg.ClientConfig {
  const where = typeof address === "string" ? { connectionString: address } : { ...address, port: 5432 };
  return {
    ...where,
    application_name: "ltx-trainer",
    connectionTimeoutMillis: 10_000,
    // Of one statement. No statement of ours takes long; a connection that went silent would otherwise hang for minutes.
    query_timeout: 15_000,
    keepAlive: true,
    types: numbersFromText,
  };
}

/** The driver gives 64-bit integers as text; ours are counts and sizes, far below 2^53. */
const numbersFromText = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    oid === pg.types.builtins.INT8
      ? Number
      : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/** Opens the pool; connects when first used. */
export function openDatabase(
  address: DatabaseAddress,
  options: {
    readonly connections: number;
    readonly log: Logger;
    /** Of a connection attempt and of a statement; default 10 and 15 seconds. */
    readonly timeoutMs?: number;
  },
): Database {
  const { connections: max, timeoutMs } = options;
  const pool = new pg.Pool({
    ...connectionOptions(address),
    ...(timeoutMs === undefined ? {} : { connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs }),
    max,
  });
  // An idle connection that is cut: the pool drops it, and who needs one gets a new one.
  pool.on("connect", (client) => {
    // One that is cut while in use: its statement fails and says so; without a listener the process would end.
    client.on("error", () => {});
  });
  pool.on("error", (error) => options.log.warn({ err: error }, "a database connection was cut"));
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
}
