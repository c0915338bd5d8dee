/** Status streams on a real PostgreSQL: every follower gets every line once, and many followers cost few statements. */
import { setTimeout as delay } from "node:timers/promises";
import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import type { Database } from "../../db/database.ts";
import { claim } from "../../db/requests/leases.ts";
import type { Lease } from "../../db/requests/move.ts";
import { appendLogs } from "../../db/requests/request-logs.ts";
import { insertRequest } from "../../db/requests/requests.ts";
import { cancelQueued, release, succeed } from "../../db/requests/transitions.ts";
import { registerWorker } from "../../db/workers.ts";
import { type TestDatabase, TestPostgres } from "../../testing/postgres.ts";
import { trainerEndpoint } from "../../testing/trainer-endpoint.ts";
import { StatusStreams, type StatusUpdate } from "./status-stream.ts";

// Making databases is slow on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

let postgres: TestPostgres;
let test_: TestDatabase;
let streams: StatusStreams;
const workerId = uuidv4();

beforeAll(async () => {
  postgres = await TestPostgres.start();
  test_ = await postgres.open();
  streams = new StatusStreams(test_.db, test_.feed);
  await registerWorker(test_.db, { id: workerId, devices: ["cpu"] });
});
afterAll(async () => {
  streams.close();
  await test_.close();
  await postgres.stop();
});

async function submit(): Promise<string> {
  const id = uuidv7();
  await insertRequest(test_.db, {
    id,
    endpoint: "fal-ai/ltx-video-trainer",
    path: "",
    userId: "u",
    keyId: null,
    publicUrl: "http://localhost:8000",
    input: "{}",
    priority: "normal",
    webhookUrl: null,
    startTimeoutSeconds: null,
    lifecycle: null,
    storesIo: true,
    refusal: undefined,
  });
  return id;
}

async function begin(): Promise<Lease> {
  const lease = await claim(test_.db, {
    workerId,
    leaseId: uuidv4(),
    leaseSeconds: 60,
    endpoints: [trainerEndpoint.name],
  });
  if (lease === undefined) throw new Error("the queue is empty");
  return lease;
}

const say = (lease: Lease, ...messages: string[]) =>
  appendLogs(
    test_.db,
    lease,
    messages.map((message) => ({ at: new Date(), level: "INFO" as const, message })),
  );

type Followed = { readonly states: string[]; readonly lines: string[]; readonly over: Promise<void> };

function follow(
  id: string,
  options: { logs?: boolean; signal?: AbortSignal; silenceMs?: number; from?: StatusStreams } = {},
) {
  const { logs = true, signal = new AbortController().signal, silenceMs = 60_000, from = streams } = options;
  const states: string[] = [];
  const lines: string[] = [];
  const take = (update: StatusUpdate | undefined) => {
    states.push(update?.summary.state ?? "silence");
    lines.push(...(update?.lines.map(({ message }) => message) ?? []));
  };
  const over = (async () => {
    for await (const update of from.follow(id, { logs, signal, silenceMs })) take(update);
  })();
  return { states, lines, over } satisfies Followed;
}

test("every follower gets every line once and in order, also late and slow ones", async () => {
  const id = await submit();
  const early = follow(id);
  await expect.poll(() => early.states).toEqual(["queued"]);
  const lease = await begin();
  await say(lease, "1", "2");
  await expect.poll(() => early.lines).toEqual(["1", "2"]);
  const late = follow(id);
  await say(lease, "3");
  await expect.poll(() => late.lines).toEqual(["1", "2", "3"]);
  const silent = follow(id, { logs: false });
  await expect.poll(() => silent.states).toEqual(["running"]);
  for (let line = 4; line <= 40; line++) await say(lease, String(line));
  const last = follow(id);
  await say(lease, "41");
  await succeed(test_.db, lease, { body: "{}", headers: {}, files: [] });
  const all = Array.from({ length: 41 }, (_, index) => String(index + 1));
  for (const followed of [early, late, last]) {
    await followed.over;
    expect(followed.lines).toEqual(all);
    expect(followed.states.at(-1)).toBe("succeeded");
  }
  await silent.over;
  expect(silent).toMatchObject({ lines: [], states: ["running", "succeeded"] });
});

test("a follower that does not read gets the start and the end of a flood when it continues", async () => {
  const id = await submit();
  const updates = streams.follow(id, { logs: true, signal: new AbortController().signal, silenceMs: 60_000 });
  expect((await updates.next()).value).toMatchObject({ summary: { state: "queued" } });
  const lease = await begin();
  const all = Array.from({ length: 6_000 }, (_, index) => `line ${index}`);
  const other = follow(id);
  for (let start = 0; start < all.length; start += 500) {
    await say(lease, ...all.slice(start, start + 500));
    await expect.poll(() => other.lines.at(-1)).toBe(all[Math.min(start + 499, all.length - 1)]);
  }
  const taken = ((await updates.next()).value as StatusUpdate).lines.map(({ message }) => message);
  expect(taken.length).toBeLessThanOrEqual(2_500);
  expect(taken[0]).toBe("line 0");
  expect(taken.at(-1)).toBe("line 5999");
  await succeed(test_.db, lease, { body: "{}", headers: {}, files: [] });
  await other.over;
  expect(other.lines).toEqual(all);
  await updates.return();
});

test("a requeued request is reported as queued", async () => {
  const id = await submit();
  const followed = follow(id);
  await expect.poll(() => followed.states).toEqual(["queued"]);
  const first = await begin();
  await expect.poll(() => followed.states).toEqual(["queued", "running"]);
  await release(test_.db, first);
  await expect.poll(() => followed.states).toEqual(["queued", "running", "queued"]);
  await cancelQueued(test_.db, id, "u");
  await followed.over;
  expect(followed.states.at(-1)).toBe("cancelled");
});

test("two hundred followers of one request cost as few statements as one", async () => {
  const id = await submit();
  const lease = await begin();
  const statements = vi.fn();
  const counted = new Proxy(test_.db, {
    get: (db, name) => {
      if (name === "selectFrom") statements();
      const value: unknown = Reflect.get(db, name);
      return typeof value === "function" ? value.bind(db) : value;
    },
  }) as Database;
  const from = new StatusStreams(counted, test_.feed);
  onTestFinished(() => from.close());
  const followed = Array.from({ length: 200 }, () => follow(id, { from }));
  await expect.poll(() => followed.every(({ states }) => states.length > 0)).toBe(true);
  statements.mockClear();
  await say(lease, "news");
  await expect.poll(() => followed.every(({ lines }) => lines.includes("news"))).toBe(true);
  expect(statements.mock.calls.length).toBeLessThan(10);
  await succeed(test_.db, lease, { body: "{}", headers: {}, files: [] });
  await Promise.all(followed.map(({ over }) => over));
});

test("without changes a stream yields undefined, and a signal ends it at once", async () => {
  const id = await submit();
  const gone = new AbortController();
  const followed = follow(id, { signal: gone.signal, silenceMs: 50 });
  await expect.poll(() => followed.states.filter((state) => state === "silence").length).toBeGreaterThan(2);
  gone.abort();
  await followed.over;
  const seen = followed.states.length;
  await delay(200);
  expect(followed.states).toHaveLength(seen);
  await cancelQueued(test_.db, id, "u");
});

test("the deletion of a request ends its stream", async () => {
  const id = await submit();
  const followed = follow(id);
  await expect.poll(() => followed.states).toEqual(["queued"]);
  await test_.db.deleteFrom("requests").where("id", "=", id).execute();
  // A deletion is not announced.
  await followed.over;
  expect(followed.states).toEqual(["queued"]);
});
