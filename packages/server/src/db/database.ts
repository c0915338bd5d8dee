/** The connection to PostgreSQL: a pool, typed by `schema.ts`. */
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import type { Logger } from "pino";
import type { PostgresAddress } from "../postgres/embedded-postgres.ts";
import type { Tables } from "./schema.ts";

export type Database = Kysely<Tables>;

/** The embedded server, or the URL of another. */
export type DatabaseAddress = PostgresAddress | string;

/** Returns the address in the form that the driver takes. */
export function connectionOptions(address: DatabaseAddress): pg.ClientConfig {
  const where = typeof address === "string" ? { connectionString: address } : { ...address, port: 5432 };
  return {
    ...where,
    application_name: "ltx-trainer",
    connectionTimeoutMillis: 10_000,
    // Per statement. Ours are short, and a dead connection would otherwise hang for minutes.
    query_timeout: 15_000,
    keepAlive: true,
    types: numbersFromText,
  };
}

/** The driver returns 64-bit integers as text. Ours are counts and sizes, far below 2^53. */
const numbersFromText = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    oid === pg.types.builtins.INT8
      ? Number
      : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/** Opens the pool. It connects at first use. */
export function openDatabase(
  address: DatabaseAddress,
  options: {
    readonly connections: number;
    readonly log: Logger;
    /** Timeouts of a connection attempt and of a statement. Default: 10 and 15 seconds. */
    readonly timeoutMs?: number;
  },
): Database {
  const { connections: max, timeoutMs } = options;
  const pool = new pg.Pool({
    ...connectionOptions(address),
    ...(timeoutMs === undefined ? {} : { connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs }),
    max,
  });
  // The pool drops an idle connection that is cut, and opens a new one on demand.
  pool.on("connect", (client) => {
    // A statement on a cut connection fails by itself. Without a listener the process would exit.
    client.on("error", () => {});
  });
  pool.on("error", (error) => options.log.warn({ err: error }, "database: connection lost"));
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
}
