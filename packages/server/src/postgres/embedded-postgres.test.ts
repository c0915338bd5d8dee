/** The embedded PostgreSQL: first start, stop, kill, take-over, and folders it may not enter. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { sql } from "kysely";
import { afterEach, expect, test, vi } from "vitest";
import { openDatabase } from "../db/database.ts";
import { persistently } from "../db/persist.ts";
import { silent } from "../testing/postgres.ts";
import { userOf } from "../testing/processes.ts";
import { EmbeddedPostgres } from "./embedded-postgres.ts";

// Making a database is slow on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const started: EmbeddedPostgres[] = [];
const folders: string[] = [];

function freshHome(): string {
  const folder = mkdtempSync(join(tmpdir(), "ltx-pg-"));
  chmodSync(folder, 0o755);
  folders.push(folder);
  return folder;
}

function postgresIn(home: string): EmbeddedPostgres {
  const postgres = new EmbeddedPostgres(home, silent);
  started.push(postgres);
  return postgres;
}

afterEach(async () => {
  for (const postgres of started.splice(0)) await postgres.stop();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function ask(postgres: EmbeddedPostgres, query: string): Promise<unknown[]> {
  const db = openDatabase(postgres.address, { connections: 1, log: silent });
  try {
    return (await persistently(() => sql.raw(query).execute(db))).rows;
  } finally {
    await db.destroy();
  }
}

test("keeps what was written over a stop and a start", async () => {
  const home = freshHome();
  const first = postgresIn(home);
  await first.start();
  await ask(first, "create table t as select 42 as answer");
  await ask(first, "alter table t add check (answer < 100)");
  await expect(ask(first, "insert into t values (1234567)")).rejects.toThrow(/check constraint/);
  await first.stop();
  const log = join(first.folder, "postgres.log");
  expect(readFileSync(log, "utf8")).toMatch(/ERROR: .*check constraint/);
  expect(readFileSync(log, "utf8"), "its log quotes no row").not.toContain("1234567");
  truncateSync(log, 11 * 2 ** 20);
  expect(first.pid).toBeUndefined();
  const second = postgresIn(home);
  await second.start();
  expect(await ask(second, "select answer from t")).toEqual([{ answer: 42 }]);
  expect(statSync(log).size, "a log that grew large is begun anew").toBeLessThan(2 ** 20);
  expect(statSync(`${log}.1`).size).toBe(11 * 2 ** 20);
});

test("takes the connections of two servers, whatever the size of their pools", async () => {
  const postgres = new EmbeddedPostgres(freshHome(), silent, { connections: 100 });
  started.push(postgres);
  await postgres.start();
  const [answer] = await ask(postgres, "show max_connections");
  expect(Number((answer as { max_connections: string }).max_connections)).toBeGreaterThanOrEqual(210);
});

test("does not run as root, listens on no address, and syncs what it writes", async () => {
  const postgres = postgresIn(freshHome());
  await postgres.start();
  expect(userOf(postgres.pid as number)).not.toBe(0);
  expect(await ask(postgres, "show listen_addresses")).toEqual([{ listen_addresses: "" }]);
  expect(await ask(postgres, "show fsync")).toEqual([{ fsync: "on" }]);
});

test("comes back by itself when it is killed, with everything that was committed", async () => {
  const postgres = postgresIn(freshHome());
  await postgres.start();
  await ask(postgres, "create table t as select generate_series(1, 1000) as n");
  const killed = postgres.pid as number;
  process.kill(killed, "SIGKILL");
  while (postgres.pid === killed || postgres.pid === undefined) await delay(20);
  expect(await ask(postgres, "select count(*) from t")).toEqual([{ count: 1000 }]);
  expect(postgres.pid).not.toBe(killed);
});

test("a lock file of a process that is gone does not stop it", async () => {
  const home = freshHome();
  const first = postgresIn(home);
  await first.start();
  await first.stop();
  const data = join(first.address.host, "../data");
  // 1 is alive, but no PostgreSQL.
  writeFileSync(join(data, "postmaster.pid"), `1\n${data}\n1\n5432\n${first.address.host}\n\n`);
  const second = postgresIn(home);
  await second.start();
  expect(await ask(second, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("a second one on the same folder takes over the one that runs", async () => {
  const home = freshHome();
  const first = postgresIn(home);
  await first.start();
  const second = postgresIn(home);
  await second.start();
  expect(second.pid).toBe(first.pid);
  expect(await ask(second, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("a first start that was cut short is begun anew", async () => {
  const home = freshHome();
  const postgres = postgresIn(home);
  const half = join(postgres.address.host, "../data.new");
  mkdirSync(half);
  writeFileSync(join(half, "PG_VERSION"), "18\n");
  await postgres.start();
  expect(await ask(postgres, "select 1 as one")).toEqual([{ one: 1 }]);
  expect(existsSync(half)).toBe(false);
});

test.skipIf(process.getuid?.() !== 0)(
  "root's own folder, which its account may not enter, is no obstacle",
  async () => {
    const home = freshHome();
    chmodSync(home, 0o700);
    const postgres = postgresIn(home);
    folders.push(join(postgres.address.host, ".."));
    await postgres.start();
    expect(postgres.address.host).toMatch(/^\/var\/lib\/ltx-trainer\//);
    expect(postgres.isElsewhere).toBe(true);
    expect(readFileSync(join(home, "postgres/LOCATION.txt"), "utf8")).toContain(postgres.folder);
    expect(await ask(postgres, "select 1 as one")).toEqual([{ one: 1 }]);
  },
);

test("a folder for the socket that others could have made in the temporary folder is not used", () => {
  const home = join(freshHome(), "long".repeat(25));
  mkdirSync(home);
  const { host } = postgresIn(home).address;
  expect(host).not.toContain(home);
  folders.push(host);
  chmodSync(host, 0o777);
  expect(() => postgresIn(home)).toThrow(/which others may write to/);
});
