/** Polled logs are complete, in order, and read once. */
import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { claim } from "../../db/requests/leases.ts";
import { appendLogs, readLogs } from "../../db/requests/request-logs.ts";
import { insertRequest } from "../../db/requests/requests.ts";
import { registerWorker } from "../../db/workers.ts";
import { type TestDatabase, TestPostgres } from "../../testing/postgres.ts";
import { trainerEndpoint } from "../../testing/trainer-endpoint.ts";
import { SharedLogs } from "./shared-logs.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

let postgres: TestPostgres;
let database: TestDatabase;

beforeAll(async () => {
  postgres = await TestPostgres.start();
  database = await postgres.open();
});
afterAll(async () => {
  await database.close();
  await postgres.stop();
});

async function runningRequest() {
  const { db } = database;
  await insertRequest(db, {
    id: uuidv7(),
    endpoint: "fal-ai/ltx-video-trainer",
    path: "",
    userId: "local",
    keyId: null,
    publicUrl: "http://localhost",
    input: "{}",
    priority: "normal",
    webhookUrl: null,
    startTimeoutSeconds: null,
    lifecycle: null,
    storesIo: true,
    refusal: undefined,
  });
  const workerId = uuidv7();
  await registerWorker(db, { id: workerId, devices: [] });
  const request = await claim(db, {
    workerId,
    leaseId: uuidv4(),
    leaseSeconds: 60,
    endpoints: [trainerEndpoint.name],
  });
  if (request === undefined) throw new Error("nothing to claim");
  return request;
}

test("new lines are appended, and without new lines the object is the same", async () => {
  const { db } = database;
  const request = await runningRequest();
  const shared = new SharedLogs(db);
  const messages = async () => (await shared.get(request.requestId)).lines.map(({ message }) => message);
  const say = async (...lines: string[]) => {
    await appendLogs(
      db,
      request,
      lines.map((message) => ({ at: new Date(), level: "INFO", message })),
    );
    shared.forget(request.requestId);
  };
  expect(await messages()).toEqual([]);
  await say("a", "b");
  expect(await messages()).toEqual(["a", "b"]);
  const page = await shared.get(request.requestId);
  shared.forget(request.requestId);
  expect(await shared.get(request.requestId)).toBe(page);
  await say("c");
  expect(await messages()).toEqual(["a", "b", "c"]);
  expect(page.lines).toHaveLength(2);
});

test("concurrent reads neither lose nor repeat a line", async () => {
  const { db } = database;
  const request = await runningRequest();
  const shared = new SharedLogs(db);
  const reads: Promise<number>[] = [];
  for (let index = 0; index < 30; index++) {
    await appendLogs(db, request, [{ at: new Date(), level: "INFO", message: String(index) }]);
    shared.forget(request.requestId);
    reads.push(shared.get(request.requestId).then(({ lines }) => lines.length));
  }
  const lengths = await Promise.all(reads);
  expect(lengths.at(-1)).toBe(30);
  shared.forget(request.requestId);
  const { lines } = await shared.get(request.requestId);
  expect(lines.map(({ message }) => message)).toEqual(
    Array.from({ length: 30 }, (_, index) => String(index)),
  );
});

test("the log of an ended request is complete, even if the last lines were not announced", async () => {
  const { db } = database;
  const request = await runningRequest();
  const shared = new SharedLogs(db);
  expect((await shared.get(request.requestId)).lines).toEqual([]);
  await appendLogs(db, request, [{ at: new Date(), level: "INFO", message: "last" }]);
  expect((await shared.get(request.requestId, true)).lines).toMatchObject([{ message: "last" }]);
});

test("a flood of lines keeps its start and its end, here and in the database, and counts the middle", async () => {
  const { db } = database;
  const request = await runningRequest();
  const shared = new SharedLogs(db);
  const all = Array.from({ length: 20_000 }, (_, index) => `broken-${index}.mp4: cannot be decoded`);
  for (let start = 0; start < all.length; start += 400) {
    const entries = all.slice(start, start + 400);
    await appendLogs(
      db,
      request,
      entries.map((message) => ({ at: new Date(), level: "WARN", message })),
    );
    shared.forget(request.requestId);
    const { lines, json } = await shared.get(request.requestId);
    expect(lines.length).toBeLessThanOrEqual(2_500);
    expect(json.length).toBeLessThan(600_000);
  }
  for (const log of [await shared.get(request.requestId), await readLogs(db, request.requestId)]) {
    const messages = log.lines.map(({ message }) => message);
    const middle = messages.findIndex((message) => message.includes("left out"));
    const count = Number(messages[middle]?.split(" ")[0]);
    expect(messages.slice(0, middle)).toEqual(all.slice(0, 500));
    expect(messages.slice(middle + 1)).toEqual(all.slice(500 + count));
    expect(messages.length - 1 + count).toBe(all.length);
  }
});

test("long lines are cut, and many of them are bounded together", async () => {
  const { db } = database;
  const request = await runningRequest();
  const entries = Array.from({ length: 600 }, (_, index) => ({
    at: new Date(),
    level: "INFO" as const,
    message: `${index} ${"x".repeat(50_000)} http://user:s3cret@host.example/`,
  }));
  await appendLogs(db, request, entries);
  const { lines, json } = await new SharedLogs(db).get(request.requestId);
  expect(json.length).toBeLessThan(600_000);
  expect(lines[0]?.message).toMatch(/^0 x+\.\.\. \(50\d{3} characters\)$/);
  expect(lines.some(({ message }) => /^\d+ lines left out/.test(message))).toBe(true);
  await appendLogs(db, request, [
    { at: new Date(), level: "INFO", message: "got http://user:s3cret@host.example/" },
  ]);
  const { lines: after } = await readLogs(db, request.requestId);
  expect(after.at(-1)?.message).toBe("got http://[secret]@host.example/");
});

test("a log is serialized once for all polls", async () => {
  const { db } = database;
  const request = await runningRequest();
  await appendLogs(db, request, [{ at: new Date(), level: "INFO", message: "said" }]);
  const shared = new SharedLogs(db);
  const log = await shared.get(request.requestId);
  expect(JSON.parse(log.json)).toEqual(log.lines);
  shared.forget(request.requestId);
  expect(await shared.get(request.requestId)).toBe(log);
});
