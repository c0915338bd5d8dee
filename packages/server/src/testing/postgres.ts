/** A real PostgreSQL for tests, with the tables in it: one server a test file, one database a test that wants its own. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { pino } from "pino";
import { ChangeFeed } from "../db/change-feed.ts";
import { type Database, openDatabase } from "../db/database.ts";
import { migrate } from "../db/migrate.ts";
import { EmbeddedPostgres } from "../postgres/embedded-postgres.ts";

export const silent = pino({ level: "silent" });

export type TestDatabase = {
  readonly db: Database;
  readonly feed: ChangeFeed;
  readonly close: () => Promise<void>;
};

export class TestPostgres {
  readonly postgres: EmbeddedPostgres;
  readonly #home: string;
  #databases = 0;

  private constructor(home: string) {
    this.#home = home;
    this.postgres = new EmbeddedPostgres(home, silent);
  }

  static async start(): Promise<TestPostgres> {
    const home = mkdtempSync(join(tmpdir(), "ltx-postgres-"));
    chmodSync(home, 0o755);
    const server = new TestPostgres(home);
    await server.postgres.start();
    return server;
  }

  /** An empty database with all tables. */
  async open(): Promise<TestDatabase> {
    const name = `test_${++this.#databases}`;
    const admin = openDatabase(this.postgres.address, { connections: 1, log: silent });
    await sql`create database ${sql.id(name)}`.execute(admin);
    await admin.destroy();
    const address = { ...this.postgres.address, database: name };
    const db = openDatabase(address, { connections: 8, log: silent });
    await migrate(db, silent);
    const feed = new ChangeFeed(address, silent);
    await feed.open();
    return {
      db,
      feed,
      close: async () => {
        await feed.close();
        await db.destroy();
      },
    };
  }

  async stop(): Promise<void> {
    await this.postgres.stop();
    rmSync(this.#home, { recursive: true, force: true });
  }
}
