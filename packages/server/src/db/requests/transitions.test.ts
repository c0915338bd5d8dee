/** The state machine on a real PostgreSQL: who wins, who comes too late, and what an end leaves behind. */

import { sql } from "kysely";
import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { type TestDatabase, TestPostgres } from "../../testing/postgres.ts";
import { trainerEndpoint } from "../../testing/trainer-endpoint.ts";
import type { QueuePriority } from "../../wire/queue.ts";
import { cancelledFailure, requestFailure } from "../../wire/request-failures.ts";
import { isDeviceTaken, registerWorker, retireWorker } from "../workers.ts";
import { claim, claimTrained, expireLeasesOf, forgetTrained, renewLeases, resolveExpired } from "./leases.ts";
import { readLogs } from "./request-logs.ts";
import { findAnswer, findSummary, insertRequest, type NewRequest } from "./requests.ts";
import {
  cancelQueued,
  confirmCancel,
  fail,
  forgiveLosses,
  loseLease,
  noteTrained,
  release,
  requestCancel,
  retrain,
  setBack,
  succeed,
} from "./transitions.ts";

// Making databases is slow on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

let postgres: TestPostgres;
let test_: TestDatabase;
const workerId = uuidv4();
const user = "u";

beforeAll(async () => {
  postgres = await TestPostgres.start();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  test_ = await postgres.open();
  await registerWorker(test_.db, { id: workerId, devices: ["cpu"] });
});
afterEach(() => test_.close());

async function submit(options: Partial<NewRequest> = {}): Promise<string> {
  const id = uuidv7();
  await insertRequest(test_.db, {
    id,
    endpoint: "fal-ai/ltx-video-trainer",
    path: "",
    userId: user,
    keyId: null,
    publicUrl: "http://localhost:8000",
    input: "{}",
    priority: "normal",
    webhookUrl: null,
    startTimeoutSeconds: null,
    lifecycle: null,
    storesIo: true,
    refusal: undefined,
    ...options,
  });
  return id;
}

async function take(leaseSeconds = 60) {
  return claim(test_.db, { workerId, leaseId: uuidv4(), leaseSeconds, endpoints: [trainerEndpoint.name] });
}

async function mustTake(leaseSeconds?: number) {
  const claimed = await take(leaseSeconds);
  if (claimed === undefined) throw new Error("the queue is empty");
  return claimed;
}

const stateOf = async (id: string) => (await findSummary(test_.db, id))?.state;
const success = { body: '{"ok":true}', headers: {}, files: [] };
const failure = requestFailure(500, "internal_error", "x");

test("requests are taken by priority, then in the order they came", async () => {
  const low = await submit({ priority: "low" });
  const [first, second] = [await submit(), await submit()];
  expect((await findSummary(test_.db, low))?.queuePosition).toBe(2);
  expect((await findSummary(test_.db, second))?.queuePosition).toBe(1);
  const taken = [await take(), await take(), await take(), await take()];
  expect(taken.map((claimed) => claimed?.requestId)).toEqual([first, second, low, undefined]);
});

test("two claimers never get the same request", async () => {
  const priorities: QueuePriority[] = ["normal", "low"];
  const ids = await Promise.all(
    Array.from({ length: 40 }, (_, i) => submit({ priority: priorities[i % 2]! })),
  );
  const taken = await Promise.all(Array.from({ length: 60 }, () => take()));
  const got = taken.flatMap((claimed) => (claimed === undefined ? [] : [claimed.requestId]));
  expect(got.toSorted()).toEqual(ids.toSorted());
});

test("an insert that runs twice makes one request", async () => {
  const id = await submit();
  await submit({ id });
  const { count } = await test_.db
    .selectFrom("requests")
    .select(sql<number>`count(*)`.as("count"))
    .executeTakeFirstOrThrow();
  expect(count).toBe(1);
});

test("a request has one end: whoever comes second changes nothing", async () => {
  const id = await submit();
  const lease = await mustTake();
  expect(await succeed(test_.db, lease, success)).toBe(true);
  expect(await fail(test_.db, lease, failure)).toBe(false);
  expect(await loseLease(test_.db, lease)).toBe("late");
  expect(await requestCancel(test_.db, id, user)).toBe(false);
  expect(await cancelQueued(test_.db, id, user)).toBe(false);
  expect(await findAnswer(test_.db, id, user)).toMatchObject({
    state: "succeeded",
    status: 200,
    body: success.body,
  });
});

test("a worker whose lease went to another one changes nothing", async () => {
  const id = await submit();
  const old = await mustTake(0.001);
  await sql`select pg_sleep(0.01)`.execute(test_.db);
  expect((await resolveExpired(test_.db)).requeued).toEqual([id]);
  const current = await mustTake();
  expect(current).toMatchObject({ requestId: id, attempts: 2 });
  expect(await succeed(test_.db, old, success)).toBe(false);
  expect(await release(test_.db, old)).toBe("late");
  expect((await renewLeases(test_.db, [old.leaseId, current.leaseId], 60)).has(old.leaseId)).toBe(false);
  expect(await succeed(test_.db, current, success)).toBe(true);
});

test("lost twice without a checkpoint is the end; a checkpoint in between forgives", async () => {
  const id = await submit();
  expect(await loseLease(test_.db, await mustTake())).toBe("queued");
  const second = await mustTake();
  await forgiveLosses(test_.db, second);
  expect(await loseLease(test_.db, second)).toBe("queued");
  expect(await loseLease(test_.db, await mustTake())).toBe("failed");
  expect(await findAnswer(test_.db, id, user)).toMatchObject({ state: "failed", status: 500 });
});

test("a request that is given back keeps its place", async () => {
  const first = await submit();
  await submit();
  const lease = await mustTake();
  expect(await release(test_.db, lease)).toBe("queued");
  expect(await mustTake()).toMatchObject({ requestId: first, attempts: 2 });
});

test("a waiting request is cancelled at once, a running one when its worker says so", async () => {
  const [running, waiting] = [await submit(), await submit()];
  const lease = await mustTake();
  expect(await cancelQueued(test_.db, waiting, user)).toBe(true);
  expect(await cancelQueued(test_.db, running, user)).toBe(false);
  expect(await confirmCancel(test_.db, lease)).toBe(false);
  expect(await requestCancel(test_.db, running, user)).toBe(true);
  expect((await renewLeases(test_.db, [lease.leaseId], 60)).get(lease.leaseId)).toEqual({
    isCancelRequested: true,
  });
  expect(await confirmCancel(test_.db, lease)).toBe(true);
  for (const id of [running, waiting]) {
    expect(await findAnswer(test_.db, id, user)).toMatchObject({
      state: "cancelled",
      status: 499,
      body: JSON.stringify(cancelledFailure.body),
    });
  }
});

test("nobody cancels or reads what belongs to somebody else", async () => {
  const id = await submit();
  expect(await cancelQueued(test_.db, id, "other")).toBe(false);
  await mustTake();
  expect(await requestCancel(test_.db, id, "other")).toBe(false);
  expect(await findAnswer(test_.db, id, "other")).toBeUndefined();
});

test("a request to be cancelled whose worker vanished is cancelled, not begun again", async () => {
  const id = await submit();
  await mustTake(0.001);
  await requestCancel(test_.db, id, user);
  await sql`select pg_sleep(0.01)`.execute(test_.db);
  expect((await resolveExpired(test_.db)).cancelled).toEqual([id]);
  expect(await stateOf(id)).toBe("cancelled");
});

const letGoes = { release, loseLease, retrain } as const;

test.each(Object.entries(letGoes))("%s of a request that is to be cancelled cancels it", async (_, letGo) => {
  const id = await submit();
  const lease = await mustTake();
  await requestCancel(test_.db, id, user);
  expect(await letGo(test_.db, lease)).toBe("cancelled");
  expect(await findAnswer(test_.db, id, user)).toMatchObject({ state: "cancelled", status: 499 });
  expect(await letGo(test_.db, lease)).toBe("late");
});

test("a request that is set back waits before it is claimed, and a checkpoint forgives what it counts", async () => {
  const first = await submit();
  const next = await submit();
  const lease = await mustTake();
  expect(await setBack(test_.db, lease, { pauseSeconds: 3600, counts: true })).toBe("queued");
  expect(await mustTake()).toMatchObject({ requestId: next });
  expect(await take()).toBeUndefined();
  await test_.db
    .updateTable("requests")
    .set({ not_before: sql<Date>`now()` })
    .where("id", "=", first)
    .execute();
  const again = await mustTake();
  expect(again).toMatchObject({ requestId: first, attempts: 2, setbacks: 1 });
  await forgiveLosses(test_.db, again);
  expect(await setBack(test_.db, again, { pauseSeconds: 0, counts: false })).toBe("queued");
  expect(await mustTake()).toMatchObject({ requestId: first, setbacks: 0 });
  const marked = await mustTakeMarked();
  expect(await setBack(test_.db, marked, { pauseSeconds: 0, counts: true })).toBe("cancelled");
});

async function mustTakeMarked() {
  const id = await submit();
  const lease = await mustTake();
  await requestCancel(test_.db, id, user);
  return lease;
}

const trained = { outputs: '{"lora_file":"x"}', home: "home-a" };

test("a trained request is claimed only where its files are, never trained, and never lost", async () => {
  const id = await submit();
  const lease = await mustTake(0.001);
  expect(await noteTrained(test_.db, lease, trained)).toBe(true);
  for (let times = 0; times < 3; times++) {
    await sql`select pg_sleep(0.01)`.execute(test_.db);
    expect((await resolveExpired(test_.db)).requeued).toEqual([id]);
    expect(await take()).toBeUndefined();
    expect(await takeTrained("home-b")).toBeUndefined();
    expect(await takeTrained("home-a", 0.001)).toMatchObject({
      requestId: id,
      attempts: 1,
      trainedOutputs: trained.outputs,
    });
  }
});

function takeTrained(home: string, leaseSeconds = 60) {
  return claimTrained(
    test_.db,
    { workerId, leaseId: uuidv4(), leaseSeconds, endpoints: [trainerEndpoint.name] },
    home,
  );
}

test("the answer of a trained request that is written twice is its own both times", async () => {
  const id = await submit();
  const lease = await mustTake();
  await noteTrained(test_.db, lease, trained);
  expect(await succeed(test_.db, lease, success)).toBe(true);
  expect(await succeed(test_.db, lease, success)).toBe(true);
  expect(await succeed(test_.db, lease, { ...success, body: '{"ok":false}' })).toBe(false);
  expect(await stateOf(id)).toBe("succeeded");
});

test("files that are gone are trained again at once, those on a machine that is gone after a time", async () => {
  const id = await submit();
  const lease = await mustTake();
  await noteTrained(test_.db, lease, trained);
  expect(await retrain(test_.db, lease)).toBe("queued");
  const again = await mustTake();
  expect(again).toMatchObject({ requestId: id, attempts: 2, trainedOutputs: null });
  await noteTrained(test_.db, again, trained);
  await release(test_.db, again);
  expect(await forgetTrained(test_.db, 1)).toEqual([]);
  await test_.db.updateTable("requests").set({ trained_at: sql<Date>`now() - interval '2 hours'` }).execute();
  await registerWorker(test_.db, { id: uuidv4(), devices: [], home: trained.home });
  expect(await forgetTrained(test_.db, 1)).toEqual([]);
  await test_.db
    .updateTable("workers")
    .set({ heartbeat_at: sql<Date>`now() - interval '2 hours'` })
    .execute();
  expect(await forgetTrained(test_.db, 1)).toEqual([id]);
  expect((await readLogs(test_.db, id)).lines.map(({ message }) => message)).toEqual([
    "The machine that holds the trained files has not been seen for 1 hours. Training again.",
  ]);
  expect(await mustTake()).toMatchObject({ requestId: id });
});

test("the time of work is never negative, whatever the database's clock does, and waiting is no work", async () => {
  const id = await submit();
  const lease = await mustTake();
  const claimedAt = (when: string) =>
    test_.db
      .updateTable("requests")
      .set({ claimed_at: sql<Date>`now() + ${when}::interval` })
      .execute();
  await claimedAt("2 hours");
  expect((await findSummary(test_.db, id))?.runSeconds).toBe(0);
  await claimedAt("-1 hour");
  await noteTrained(test_.db, lease, trained);
  await test_.db
    .updateTable("requests")
    .set({ trained_at: sql<Date>`now() - interval '30 minutes'` })
    .execute();
  await succeed(test_.db, lease, success);
  expect((await findSummary(test_.db, id))?.runSeconds).toBeCloseTo(1800, -2);
});

test("two servers of one machine: a device belongs to the one that was there first, while it lives", async () => {
  const [first, second] = [uuidv7(), uuidv7()];
  for (const id of [first, second]) await registerWorker(test_.db, { id, devices: ["cuda:0", "cpu"] });
  await test_.db.deleteFrom("workers").where("id", "=", workerId).execute();
  expect(await isDeviceTaken(test_.db, { id: first, device: "cpu", leaseSeconds: 60 })).toBe(false);
  expect(await isDeviceTaken(test_.db, { id: second, device: "cpu", leaseSeconds: 60 })).toBe(true);
  expect(await isDeviceTaken(test_.db, { id: second, device: "auto", leaseSeconds: 60 })).toBe(true);
  expect(await isDeviceTaken(test_.db, { id: second, device: "cuda:1", leaseSeconds: 60 })).toBe(false);
  await retireWorker(test_.db, first);
  expect(await isDeviceTaken(test_.db, { id: second, device: "cpu", leaseSeconds: 60 })).toBe(false);
});

test("the leases of a dead worker end at once", async () => {
  const id = await submit();
  await mustTake(3600);
  await expireLeasesOf(test_.db, [workerId]);
  expect((await resolveExpired(test_.db)).requeued).toEqual([id]);
});

test("a start that comes too late does not come at all, but what has begun may begin again", async () => {
  const begun = await submit({ startTimeoutSeconds: 3600 });
  const lease = await mustTake();
  const late = await submit({ startTimeoutSeconds: 3600 });
  await release(test_.db, lease);
  await test_.db
    .updateTable("requests")
    .set({ start_deadline: sql<Date>`now() - interval '1 second'` })
    .execute();
  expect(await take()).toMatchObject({ requestId: begun });
  expect(await take()).toBeUndefined();
  expect((await resolveExpired(test_.db)).timedOut).toEqual([late]);
  expect(await findAnswer(test_.db, late, user)).toMatchObject({
    status: 504,
    headers: { "x-fal-request-timeout-type": "user" },
  });
});

test("the deadline is counted from the submission", async () => {
  const id = await submit({ startTimeoutSeconds: 30 });
  const row = await test_.db
    .selectFrom("requests")
    .select(sql<number>`extract(epoch from start_deadline - created_at)::float8`.as("seconds"))
    .where("id", "=", id)
    .executeTakeFirstOrThrow();
  expect(row.seconds).toBe(30);
});

test("every end with a webhook leaves exactly one delivery, a refusal at submission too", async () => {
  const webhookUrl = "https://example.com/hook";
  const refused = await submit({ webhookUrl, refusal: failure });
  const [done, cancelled, silent] = [
    await submit({ webhookUrl }),
    await submit({ webhookUrl }),
    await submit(),
  ];
  await succeed(test_.db, await mustTake(), success);
  await cancelQueued(test_.db, cancelled, user);
  await cancelQueued(test_.db, silent, user);
  const rows = await test_.db
    .selectFrom("webhook_deliveries")
    .select(["request_id", "state", "url"])
    .execute();
  expect(rows.map(({ request_id }) => request_id).toSorted()).toEqual([refused, done, cancelled].toSorted());
  expect(rows.every(({ state, url }) => state === "pending" && url === webhookUrl)).toBe(true);
});

test("the database itself refuses states that make no sense", async () => {
  const id = await submit();
  const update = (values: Record<string, unknown>) =>
    test_.db.updateTable("requests").set(values).where("id", "=", id).execute();
  await expect(update({ state: "running" })).rejects.toThrow(/running_has_a_lease/);
  await expect(update({ state: "succeeded" })).rejects.toThrow(/final_has_an_answer/);
});

test("everybody hears of a change", async () => {
  const heard: unknown[] = [];
  test_.feed.onRequest((change) => heard.push(change));
  const id = await submit();
  await mustTake();
  await requestCancel(test_.db, id, user);
  await expect
    .poll(() => heard)
    .toEqual([
      { id, state: "queued", isCancelRequested: false },
      { id, state: "running", isCancelRequested: false },
      { id, state: "running", isCancelRequested: true },
    ]);
});
