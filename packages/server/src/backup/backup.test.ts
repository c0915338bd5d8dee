/** A backup of a running service, brought back elsewhere: same keys, requests, logs and files; and what is refused. */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { readConfig } from "../config/config.ts";
import { type Database, openDatabase } from "../db/database.ts";
import { RequestFolder } from "../jobs/confine/request-folder.ts";
import { startService } from "../service.ts";
import { withDatabase } from "../start/open-for-tool.ts";
import { silent } from "../testing/postgres.ts";
import { TestService } from "../testing/service.ts";
import { QueueStatus } from "../wire/queue.ts";
import { makeBackup } from "./backup.ts";
import { restoreBackup } from "./restore.ts";
import { backedUpTables, leftOutTables } from "./tables.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const queue = "/queue/fal-ai/ltx-video-trainer";
const quiet = () => {};
/** Characters that line-based formats and JSON in a database trip over. */
const odd = 'two\u2028lines, a \u0000, "quotes", a \\, and 映画';
let scratch: string;
let service: TestService;
let db: Database;
let fileUrl = "";
let waiting = "";

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "ltx-backup-"));
  service = await TestService.start({ LTX_TRAINER_DEVICES: "" });
  db = openDatabase(service.databaseAddress, { connections: 2, log: silent });
  const response = await fetch(`${service.url}/files/upload`, {
    method: "POST",
    headers: { authorization: service.authorization, "content-type": "text/plain" },
    body: "the bytes of a file",
  });
  fileUrl = ((await response.json()) as { access_url: string }).access_url;
  const submit = async (body: unknown) =>
    QueueStatus.parse((await service.call("POST", queue, { body })).body).request_id;
  waiting = await submit({ ...service.input, trigger_phrase: odd });
  const refused = await submit({ rank: odd });
  await sql`
    insert into request_logs (request_id, at, level, message)
    values (${refused}, now(), 'INFO', ${odd.replace("\u0000", "")})`.execute(db);
});
afterAll(async () => {
  await db?.destroy();
  await service?.end();
  rmSync(scratch, { recursive: true, force: true });
});

function emptyHome(): string {
  const home = mkdtempSync(join(tmpdir(), "ltx-restored-"));
  chmodSync(home, 0o755);
  return home;
}

const settingsAt = (home: string) =>
  readConfig({ PATH: process.env.PATH, PORT: "0", LTX_TRAINER_HOME: home, LTX_TRAINER_DEVICES: "" });

async function rowsOf(database: Database, table: string): Promise<string[]> {
  const { rows } = await sql<{ line: string }>`
    select row_to_json(t)::text as line from ${sql.table(table)} t`.execute(database);
  return rows.map(({ line }) => line).sort();
}

test("every table is backed up, or left out by name", async () => {
  const { rows } = await sql<{ name: string }>`
    select table_name as name from information_schema.tables
      where table_schema = 'public' and table_name not like 'ltx_migrations%'`.execute(db);
  const known: readonly string[] = [...backedUpTables, ...leftOutTables];
  expect(rows.map(({ name }) => name).sort()).toEqual([...known].sort());
});

test("what a running service has is the same after a restore, and the key and the file work there", async () => {
  const folder = join(scratch, "backup");
  const unfinished = new RequestFolder(service.home, waiting);
  mkdirSync(unfinished.output, { recursive: true });
  writeFileSync(join(unfinished.output, "lora.safetensors"), "trained");
  execFileSync("mkfifo", [join(unfinished.output, "pipe")]);
  symlinkSync("/etc/passwd", join(unfinished.output, "link"));
  const made = await makeBackup({ db, config: service.config }, folder, quiet);
  expect(made).toMatchObject({ keys: 2, requests: 2, files: 2, missing_files: 0 });
  const home = emptyHome();
  const config = settingsAt(home);
  const restored = await withDatabase(config, async (target) => {
    const result = await restoreBackup({ db: target, config, log: silent }, folder, quiet);
    for (const table of ["secrets", "keys", "requests", "request_logs", "files"]) {
      expect(await rowsOf(target, table), table).toEqual(await rowsOf(db, table));
    }
    return result;
  });
  expect(restored).toEqual(made);
  expect(readdirSync(new RequestFolder(home, waiting).output)).toEqual(["lora.safetensors"]);
  const second = await startService(config, silent);
  try {
    expect(second.firstKey).toBeUndefined();
    const { pathname, search } = new URL(fileUrl);
    expect(await (await fetch(second.url + pathname + search)).text()).toBe("the bytes of a file");
    const call = (method: string, path: string, body?: unknown) =>
      fetch(second.url + path, {
        method,
        headers: { authorization: service.authorization },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    const status = await (await call("GET", `${queue}/requests/${waiting}/status`)).json();
    expect(status).toMatchObject({ status: "IN_QUEUE", queue_position: 0 });
    // The counter of arrivals goes on: a new request comes after the restored one.
    const next = QueueStatus.parse(await (await call("POST", queue, service.input)).json());
    expect(next).toMatchObject({ status: "IN_QUEUE", queue_position: 1 });
  } finally {
    await second.stop();
    rmSync(home, { recursive: true, force: true });
  }
});

test("a folder that holds something is left alone, and nothing half-written stays", async () => {
  const folder = join(scratch, "backup");
  await expect(makeBackup({ db, config: service.config }, folder, quiet)).rejects.toMatchObject({
    code: "output_exists",
  });
  const failing = makeBackup({ db, config: service.config }, join(scratch, "other"), () => {
    throw new Error("cut short");
  });
  await expect(failing).rejects.toThrow("cut short");
  expect(readdirSync(scratch)).toEqual(["backup"]);
});

test("a database that is in use, a folder that is no backup, and damaged rows are refused", async () => {
  const folder = join(scratch, "backup");
  const target = { db, config: service.config, log: silent };
  await expect(restoreBackup(target, folder, quiet)).rejects.toMatchObject({
    code: "output_exists",
    message: expect.stringMatching(/already holds 2 keys and 2 requests/),
  });
  await expect(restoreBackup(target, scratch, quiet)).rejects.toMatchObject({ code: "source_unsupported" });

  const foreign = join(scratch, "foreign");
  mkdirSync(foreign);
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
  for (const name of ["pg_catalog.pg_class", "../../keys", "keys; drop table keys"]) {
    const tables = [...manifest.tables, { name, rows: 0, sha256: "" }];
    writeFileSync(join(foreign, "manifest.json"), JSON.stringify({ ...manifest, tables }));
    await expect(restoreBackup(target, foreign, quiet), name).rejects.toMatchObject({
      code: "source_unsupported",
    });
  }

  const damaged = join(scratch, "damaged");
  cpSync(folder, damaged, { recursive: true });
  const path = join(damaged, "database", "keys.jsonl.gz");
  const text = gunzipSync(readFileSync(path)).toString();
  rmSync(path);
  appendFileSync(path, gzipSync(text.replace('"scope":"admin"', '"scope":"api"')));
  const home = emptyHome();
  const config = settingsAt(home);
  await withDatabase(config, async (empty) => {
    await expect(restoreBackup({ db: empty, config, log: silent }, damaged, quiet)).rejects.toMatchObject({
      code: "file_unreadable",
      message: expect.stringMatching(/keys\.jsonl\.gz is damaged/),
    });
    expect(await rowsOf(empty, "keys")).toEqual([]);
    const [group = ""] = readdirSync(join(damaged, "files"));
    const [name = ""] = readdirSync(join(damaged, "files", group));
    const file = join(damaged, "files", group, name);
    rmSync(file);
    symlinkSync("/etc/passwd", file);
    await expect(restoreBackup({ db: empty, config, log: silent }, damaged, quiet)).rejects.toMatchObject({
      code: "file_unreadable",
      message: expect.stringContaining(`${file} is not a plain file`),
    });
  });
  expect(existsSync(join(home, "postgres"))).toBe(true);
  rmSync(home, { recursive: true, force: true });
});
