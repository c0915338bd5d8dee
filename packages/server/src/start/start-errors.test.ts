/** Common mistakes at the start, against a real PostgreSQL with passwords: each has a message and a remedy. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { readConfig } from "../config/config.ts";
import { makeDataFolder } from "../config/data-folder.ts";
import { openDatabase } from "../db/database.ts";
import { migrate } from "../db/migrate.ts";
import { startService } from "../service.ts";
import { silent, TestPostgres } from "../testing/postgres.ts";
import { explainStartFailure } from "./start-errors.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

let server: TestPostgres;
let home: string;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "ltx-start-"));
  server = await TestPostgres.start();
  const admin = openDatabase(server.postgres.address, { connections: 1, log: silent });
  for (const statement of [
    "create role app login password 'right'",
    "create database others",
    "create database mine owner app",
    "create database newer owner app",
  ]) {
    await sql.raw(statement).execute(admin);
  }
  const hba = join(server.postgres.address.host, "../data/pg_hba.conf");
  writeFileSync(hba, `local all app scram-sha-256\n${readFileSync(hba, "utf8")}`);
  await sql`select pg_reload_conf()`.execute(admin);
  await admin.destroy();
});
afterAll(async () => {
  await server?.stop();
  rmSync(home, { recursive: true, force: true });
});

const address = (password: string, database: string) =>
  `postgres://app:${password}@localhost/${database}?host=${encodeURIComponent(server.postgres.address.host)}`;

async function failureOf(settings: Readonly<Record<string, string>>): Promise<AppError> {
  const config = readConfig({
    PATH: process.env.PATH,
    PORT: "0",
    LTX_TRAINER_HOME: home,
    LTX_TRAINER_DEVICES: "",
    ...settings,
  });
  const error: unknown = await startService(config, silent).then(
    async (service) => service.stop(),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AppError);
  return error as AppError;
}

test.each([
  ["a wrong password", "wrong", "mine", /wrong user or password/, /DATABASE_URL/],
  ["a database that is not there", "right", "nowhere", /there is no such database/, /CREATE DATABASE/],
  ["no right to make tables", "right", "others", /this user may not create tables/, /GRANT CREATE/],
])("%s is told with its remedy, and without the password", async (_, password, database, message, remedy) => {
  const error = await failureOf({ DATABASE_URL: address(password, database) });
  expect(error).toMatchObject({ code: "database_unusable", exitCode: 1 });
  expect(error.message).toMatch(message);
  expect(error.message).toMatch(new RegExp(`^DATABASE_URL: got postgres://app@localhost/${database}: `));
  expect(error.remedy).toMatch(remedy);
});

test("tables of a newer version are left as they are", async () => {
  const db = openDatabase(address("right", "newer"), { connections: 1, log: silent });
  await migrate(db, silent);
  await sql`insert into ltx_migrations (name, timestamp) values ('9999-future', '2030')`.execute(db);
  await db.destroy();
  const error = await failureOf({ DATABASE_URL: address("right", "newer") });
  expect(error).toMatchObject({ code: "database_unusable" });
  expect(error.message).toMatch(/newer version of this program \(9999-future\)/);
});

test("a port in use is named, with the way to another", async () => {
  const other = createServer();
  await new Promise<void>((done) => other.listen(0, "127.0.0.1", done));
  const { port } = other.address() as AddressInfo;
  const error = await failureOf({ DATABASE_URL: address("right", "mine"), PORT: String(port) });
  other.close();
  expect(error).toMatchObject({ code: "address_unusable", exitCode: 1 });
  expect(error.message).toMatch(`PORT: got ${port}, which another program on 127.0.0.1 uses`);
  expect(error.remedy).toMatch(/--port/);
});

test("a bucket that does not answer in time is not put down to the database", () => {
  const failure = new AppError({
    code: "invalid_options",
    message: "S3_BUCKET: got clips, expected a bucket that can be used: TimeoutError",
  });
  const place = { host: "127.0.0.1", port: 0, databaseUrl: address("right", "mine") };
  expect(explainStartFailure(failure, place)).toBe(failure);
});

test("a data folder that is a file, or lies in one, is told by name", () => {
  const file = join(home, "file");
  writeFileSync(file, "");
  for (const folder of [file, join(file, "below")]) {
    expect(() => makeDataFolder(folder)).toThrow(
      expect.objectContaining({ code: "file_unreadable", remedy: expect.stringMatching(/LTX_TRAINER_HOME/) }),
    );
  }
});

test.skipIf(process.getuid?.() === 0)("needs an account other than root: a folder without rights", () => {
  const closed = join(home, "closed");
  mkdirSync(closed);
  chmodSync(closed, 0o500);
  expect(() => makeDataFolder(join(closed, "data"))).toThrow(/not writable \(EACCES\)/);
});
