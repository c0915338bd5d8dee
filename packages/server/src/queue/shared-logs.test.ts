/** Logs that are polled: complete, in order, and read once. */
import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { appendLogs } from "../db/request-logs.ts";
import { insertRequest } from "../db/requests.ts";
import { claim } from "../db/transitions.ts";
import { registerWorker } from "../db/workers.ts";
import { type TestDatabase, TestPostgres } from "../testing/postgres.ts";
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
  const request = await claim(db, { workerId, leaseId: uuidv4(), leaseSeconds: 60 });
  if (request === undefined) throw new Error("nothing to claim");
  return request;
}

test("what comes is added to what is known, and nothing new is the same object", async () => {
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

test("reads that overtake one another neither lose nor repeat a line", async () => {
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

test("of a request that is over no line is missing, although nobody told of the last ones", async () => {
  const { db } = database;
  const request = await runningRequest();
  const shared = new SharedLogs(db);
  expect((await shared.get(request.requestId)).lines).toEqual([]);
  await appendLogs(db, request, [{ at: new Date(), level: "INFO", message: "last" }]);
  expect((await shared.get(request.requestId, true)).lines).toMatchObject([{ message: "last" }]);
});
