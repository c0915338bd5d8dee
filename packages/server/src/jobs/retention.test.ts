/** What retention deletes and what it keeps, with a real database and a real store. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { sql } from "kysely";
import { v7 as uuidv7 } from "uuid";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { readConfig } from "../config/config.ts";
import { findFile } from "../db/files/files.ts";
import { findUpload } from "../db/files/uploads.ts";
import { claim } from "../db/requests/leases.ts";
import { appendLogs, recordSteps } from "../db/requests/request-logs.ts";
import { insertRequest, type NewRequest } from "../db/requests/requests.ts";
import { fail } from "../db/requests/transitions.ts";
import { registerWorker } from "../db/workers.ts";
import type { FileAddress } from "../storage/file-names.ts";
import { DiskStore } from "../storage/stores/disk-store.ts";
import { type FileDescription, Uploads } from "../storage/uploads.ts";
import { type TestDatabase, TestPostgres } from "../testing/postgres.ts";
import { trainerEndpoint } from "../testing/trainer-endpoint.ts";
import { startTimeoutFailure } from "../wire/request-failures.ts";
import { sweep, sweepOrphans } from "./retention.ts";

let postgres: TestPostgres;
let database: TestDatabase;
let home = "";
let store: DiskStore;
let uploads: Uploads;

beforeAll(async () => {
  postgres = await TestPostgres.start();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  database = await postgres.open();
  home = mkdtempSync(join(tmpdir(), "ltx-retention-"));
  store = new DiskStore(home);
  uploads = new Uploads({ db: database.db, store, config: config().storage });
});
afterEach(async () => {
  await database.close();
  rmSync(home, { recursive: true, force: true });
});

const config = () => readConfig({ LTX_TRAINER_HOME: home, DISK_RESERVE_BYTES: "0" });
const swept = () => sweep({ db: database.db, store, config: config() });

const receive = (description: Partial<FileDescription> = {}) =>
  uploads.receive(
    {
      userId: "local",
      fileName: "a.txt",
      contentType: "text/plain",
      lifetimeSeconds: null,
      acl: null,
      ...description,
    },
    { body: Readable.from([Buffer.from("content")]) },
  );

async function isThere(address: FileAddress): Promise<boolean> {
  const file = await findFile(database.db, address);
  if (file !== undefined) expect(existsSync(await store.locate(file.id))).toBe(true);
  return file !== undefined;
}

/** All files in the store. */
const bytes = () =>
  ["files", "parts"].flatMap((folder) =>
    existsSync(join(home, folder))
      ? readdirSync(join(home, folder), { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map(({ name }) => name)
      : [],
  );

async function submit(request: Partial<NewRequest> = {}): Promise<string> {
  const id = request.id ?? uuidv7();
  await insertRequest(database.db, {
    id,
    endpoint: "fal-ai/ltx-video-trainer",
    path: "",
    userId: "local",
    keyId: null,
    publicUrl: "http://localhost:8000",
    input: '{"training_data_url":"http://localhost/a.zip"}',
    priority: "normal",
    webhookUrl: null,
    startTimeoutSeconds: null,
    lifecycle: null,
    storesIo: true,
    refusal: startTimeoutFailure,
    ...request,
  });
  return id;
}

const finishedAgo = (id: string, interval: string) =>
  sql`update requests set finished_at = now() - ${interval}::interval where id = ${id}`.execute(database.db);

async function hasPayload(id: string): Promise<boolean> {
  const query = database.db.selectFrom("requests").select(["input", "response_body"]).where("id", "=", id);
  const row = await query.executeTakeFirstOrThrow();
  expect(row.input === "null").toBe(row.response_body === "null");
  return row.input !== "null";
}

test("a file is deleted when it expires, not before; one without an expiry stays", async () => {
  const [ended, living, eternal] = [
    await receive({ lifetimeSeconds: 60 }),
    await receive({ lifetimeSeconds: 60 }),
    await receive(),
  ];
  await sql`update files set expires_at = now() where name = ${ended.name}`.execute(database.db);
  expect(await swept()).toMatchObject({ files: 1 });
  expect(await isThere(ended)).toBe(false);
  expect(await isThere(living)).toBe(true);
  expect(await isThere(eternal)).toBe(true);
  expect(bytes()).toHaveLength(2);
});

test("an expired file that a request still has to read stays until that request ends", async () => {
  const file = await receive({ lifetimeSeconds: 60 });
  await sql`update files set expires_at = now()`.execute(database.db);
  const url = `http://localhost:8000/files/b/${file.store}/${file.name}`;
  await submit({ refusal: undefined, input: JSON.stringify({ training_data_url: url }) });
  expect(await swept()).toMatchObject({ files: 0 });
  const workerId = uuidv7();
  await registerWorker(database.db, { id: workerId, devices: ["cpu"] });
  const lease = await claim(database.db, {
    workerId,
    leaseId: uuidv7(),
    leaseSeconds: 60,
    endpoints: [trainerEndpoint.name],
  });
  expect(await swept()).toMatchObject({ files: 0 });
  expect(lease && (await fail(database.db, lease, startTimeoutFailure))).toBe(true);
  expect(await swept()).toMatchObject({ files: 1 });
  expect(bytes()).toEqual([]);
});

test("an unfinished upload is deleted with its parts; a finished one keeps its file", async () => {
  const description = {
    userId: "local",
    fileName: "a",
    contentType: "a/b",
    lifetimeSeconds: null,
    acl: null,
  };
  const [open, done] = [await uploads.begin(description), await uploads.begin(description)];
  const body = () => ({ body: Readable.from([Buffer.from("part")]) });
  await uploads.part(await uploads.find(open.id), 1, body());
  await uploads.fill(await uploads.find(done.id), body());
  expect(bytes()).toHaveLength(2);
  expect(await swept()).toMatchObject({ uploads: 0 });
  await sql`update uploads set expires_at = now()`.execute(database.db);
  await expect(uploads.find(open.id)).rejects.toMatchObject({ status: 404 });
  expect(await swept()).toMatchObject({ uploads: 2 });
  expect(await findUpload(database.db, open.id)).toBeUndefined();
  expect(await isThere(done.file)).toBe(true);
  expect(bytes()).toHaveLength(1);
});

test("payloads are deleted after PAYLOAD_DAYS, or after an hour with x-fal-store-io: 0", async () => {
  const [fresh, old, unstored, unstoredFresh] = [
    await submit(),
    await submit(),
    await submit({ storesIo: false }),
    await submit({ storesIo: false }),
  ];
  await finishedAgo(fresh, "29 days");
  await finishedAgo(old, "31 days");
  await finishedAgo(unstored, "61 minutes");
  await finishedAgo(unstoredFresh, "59 minutes");
  expect(await swept()).toMatchObject({ payloads: 2 });
  expect(await Promise.all([fresh, old, unstored, unstoredFresh].map(hasPayload))).toEqual([
    true,
    false,
    false,
    true,
  ]);
  expect(await swept()).toMatchObject({ payloads: 0 });
});

test("logs and steps are deleted with the payload", async () => {
  const id = await submit({ refusal: undefined });
  const workerId = uuidv7();
  await registerWorker(database.db, { id: workerId, devices: ["cpu"] });
  const lease = await claim(database.db, {
    workerId,
    leaseId: uuidv7(),
    leaseSeconds: 60,
    endpoints: [trainerEndpoint.name],
  });
  if (lease === undefined) throw new Error("nothing was claimed");
  await appendLogs(database.db, lease, [{ at: new Date(), level: "INFO", message: "said" }]);
  const numbers = { loss: 1, learningRate: 1, secondsPerStep: 1, memoryBytes: 1 };
  await recordSteps(database.db, lease, [{ at: new Date(), step: 1, ...numbers }]);
  await fail(database.db, lease, startTimeoutFailure);
  await finishedAgo(id, "31 days");
  expect(await swept()).toMatchObject({ payloads: 1 });
  expect(await database.db.selectFrom("request_metrics").selectAll().execute()).toEqual([]);
  expect(await database.db.selectFrom("request_logs").selectAll().execute()).toEqual([]);
});

test("a payload that a webhook still has to deliver stays", async () => {
  const id = await submit({ webhookUrl: "http://example.com/" });
  await finishedAgo(id, "31 days");
  expect(await swept()).toMatchObject({ payloads: 0 });
  await sql`update webhook_deliveries set state = 'delivered', finished_at = now()`.execute(database.db);
  expect(await swept()).toMatchObject({ payloads: 1 });
});

test("inline files are deleted with the payload of their request, or when the request was never stored", async () => {
  const id = await submit();
  const [kept, lost, young] = [
    await receive({ inputOf: id }),
    await receive({ inputOf: uuidv7() }),
    await receive({ inputOf: uuidv7() }),
  ];
  await sql`update files set created_at = now() - interval '2 hours' where name <> ${young.name}`.execute(
    database.db,
  );
  expect(await swept()).toMatchObject({ files: 1 });
  expect(await Promise.all([kept, lost, young].map(isThere))).toEqual([true, false, true]);
  await finishedAgo(id, "31 days");
  expect(await swept()).toMatchObject({ payloads: 1, files: 1 });
  expect(await isThere(kept)).toBe(false);
});

test("folders of requests that ended days ago are deleted, and old ones without a row", async () => {
  const daysAgo = (days: number) => uuidv7({ msecs: Date.now() - days * 86_400_000 });
  const [old, recent, waiting] = [
    await submit({ id: daysAgo(20) }),
    await submit({ id: daysAgo(20) }),
    await submit({ id: daysAgo(20), refusal: undefined }),
  ];
  await finishedAgo(old, "8 days");
  const [unknownOld, unknownYoung] = [daysAgo(8), daysAgo(1)];
  const names = [old, recent, waiting, unknownOld, unknownYoung, "notes"];
  const checkpoints = (name: string) => join(home, "requests", name, "output", "checkpoints");
  for (const name of names) mkdirSync(checkpoints(name), { recursive: true });
  expect(await swept()).toMatchObject({ folders: 2 });
  expect(readdirSync(join(home, "requests")).toSorted()).toEqual(
    [recent, waiting, unknownYoung, "notes"].toSorted(),
  );
  // Checkpoints are of no use after the request has ended, in whichever state.
  expect([recent, waiting, unknownYoung].map((name) => existsSync(checkpoints(name)))).toEqual([
    false,
    true,
    true,
  ]);
});

test("files without a row are deleted after a day; known, recent and foreign ones stay", async () => {
  const known = await receive();
  const yesterday = uuidv7({ msecs: Date.now() - 25 * 3600_000 });
  const body = () => Readable.from([Buffer.from("x")]);
  const allowance = { bytes: 10, refusal: () => new Error("too much") as never };
  await store.write(yesterday, body(), allowance);
  await store.write(uuidv7(), body(), allowance);
  await store.writePart(yesterday, 1, body(), allowance);
  expect(bytes()).toHaveLength(4);
  expect(await sweepOrphans({ db: database.db, store })).toBe(2);
  expect(bytes()).toHaveLength(2);
  // With a minimum age of 0 only the row protects a file.
  expect(await sweepOrphans({ db: database.db, store }, -1000)).toBe(1);
  expect(await isThere(known)).toBe(true);
});
