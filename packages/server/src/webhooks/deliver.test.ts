/** Webhooks from the queue to a real receiver, verified by a program that shares no code with the server. */
import { type ChildProcess, spawn } from "node:child_process";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Database, openDatabase } from "../db/database.ts";
import { makeLogger } from "../log.ts";
import { silent } from "../testing/postgres.ts";
import { Receiver } from "../testing/receiver.ts";
import { TestService } from "../testing/service.ts";
import { QueueStatus } from "../wire/queue.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const endpoint = "/queue/fal-ai/ltx-video-trainer";
const settings = { LTX_TRAINER_DEVICES: "", WEBHOOK_RETRY_SECONDS: "0.2", WEBHOOK_ATTEMPTS: "3" };
let service: TestService;
let receiver: Receiver;
let db: Database;
let logged = "";
const destination = new Writable({
  write: (piece, _encoding, done) => {
    logged += piece;
    done();
  },
});

beforeAll(async () => {
  const log = makeLogger("debug", destination);
  service = await TestService.start({ ...settings, WEBHOOK_PRIVATE_TARGETS: "true" }, log);
  receiver = await Receiver.start();
  db = openDatabase(service.databaseAddress, { connections: 1, log: silent });
});
afterAll(async () => {
  await db.destroy();
  await service.end();
  await receiver.stop();
});

/** Submits what is refused for its input, so that its webhook is due at once. */
async function submitRefused(webhook: string): Promise<string> {
  const path = `${endpoint}?fal_webhook=${encodeURIComponent(webhook)}`;
  return QueueStatus.parse((await service.call("POST", path, { body: { rank: 7 } })).body).request_id;
}

const receivedFor = (id: string) => receiver.received.filter(({ body }) => body.includes(id));
const urlOf = (name: string) => `http://localhost:${receiver.port}/${name}`;

async function deliveryOf(id: string) {
  return db
    .selectFrom("webhook_deliveries")
    .selectAll()
    .where("request_id", "=", id)
    .executeTakeFirstOrThrow();
}

/** Until the delivery is no longer pending. */
async function settled(id: string) {
  await expect.poll(async () => (await deliveryOf(id)).state, { timeout: 120_000 }).not.toBe("pending");
  return deliveryOf(id);
}

test("a bad end is told with its error and the body that the result has", async () => {
  const id = await submitRefused(urlOf("bad?a=1"));
  expect(await settled(id)).toMatchObject({
    state: "delivered",
    attempts: 1,
    last_status: 200,
    last_error: null,
  });
  const [{ url, headers, body }] = receivedFor(id) as [Receiver["received"][number]];
  expect(url).toBe("/bad?a=1");
  expect(headers["content-type"]).toBe("application/json");
  expect(headers["x-fal-webhook-request-id"]).toBe(id);
  expect(headers["x-fal-webhook-user-id"]).toBe("local");
  const result = await service.call("GET", `${endpoint}/requests/${id}`);
  expect(JSON.parse(body)).toEqual({
    request_id: id,
    gateway_request_id: id,
    status: "ERROR",
    error: "Unexpected status code: 422",
    payload: result.body,
  });
});

test("a cancelled request is told too, once", async () => {
  const path = `${endpoint}?fal_webhook=${encodeURIComponent(urlOf("cancel"))}`;
  const input = { training_data_url: "https://example.com/a.zip" };
  const { request_id: id } = QueueStatus.parse((await service.call("POST", path, { body: input })).body);
  await service.call("PUT", `${endpoint}/requests/${id}/cancel`);
  await settled(id);
  expect(receivedFor(id).map(({ body }) => JSON.parse(body))).toEqual([
    {
      request_id: id,
      gateway_request_id: id,
      status: "ERROR",
      error: "Request cancelled by the client.",
      payload: { detail: "Request cancelled by the client.", error_type: "client_cancelled" },
    },
  ]);
});

test("what is not received comes again, with a new signature, until it is", async () => {
  receiver.answers.push(500, 429);
  const id = await submitRefused(urlOf("again"));
  expect(await settled(id)).toMatchObject({ state: "delivered", attempts: 3 });
  const bodies = receivedFor(id).map(({ body }) => body);
  expect(bodies).toHaveLength(3);
  expect(new Set(bodies).size).toBe(1);
});

test("it is given up after the last attempt, and at once when the receiver sends it elsewhere", async () => {
  receiver.answers.push(500, 500, 500);
  expect(await settled(await submitRefused(urlOf("never")))).toMatchObject({
    state: "abandoned",
    attempts: 3,
    last_status: 500,
    last_error: "answered with status 500, expected 2xx",
  });
  receiver.answers.push(307);
  expect(await settled(await submitRefused(urlOf("moved")))).toMatchObject({
    state: "abandoned",
    attempts: 1,
    last_status: 307,
  });
  expect(receiver.received.map(({ url }) => url)).not.toContain("/elsewhere");
});

test("no secret of an address is in the log: not of the submission, of the attempts, nor of a failed statement", async () => {
  const secrets = "hooks/T0KEN/B0RED?token=s3cret";
  receiver.answers.push(500);
  await settled(await submitRefused(urlOf(secrets)));
  const gone = await submitRefused(`http://user:passw0rd@localhost:1/${secrets}`);
  expect(await settled(gone)).toMatchObject({ state: "abandoned" });
  const bad = await service.call("POST", `${endpoint}?fal_webhook=ftp://h/T0KEN`, { body: {} });
  expect(bad.status).toBe(400);
  await service.call("GET", `/nowhere?fal_webhook=${encodeURIComponent(urlOf(secrets))}`, {
    headers: { referer: urlOf(secrets), "x-fal-target-url": urlOf(secrets) },
  });
  // A row that breaks a constraint is quoted by PostgreSQL, its address included.
  const broken = sql`update requests set state = 'running' where webhook_url like '%T0KEN%'`.execute(db);
  const error = await broken.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect((error as { detail: string }).detail).toContain("T0KEN");
  makeLogger("info", destination).error({ err: error }, "database: statement failed");
  await expect.poll(() => logged).toContain("violates check constraint");
  expect(logged).toContain("webhook: not received");
  expect(logged).toContain("webhook: abandoned");
  expect(logged).not.toMatch(/T0KEN|B0RED|s3cret|passw0rd/);
});

test("a receiver that never answers holds a few attempts, and the others are delivered meanwhile", async () => {
  const silentOne = await Receiver.start();
  silentOne.isSilent = true;
  try {
    const waiting = await Promise.all(
      Array.from({ length: 40 }, (_, index) => submitRefused(`http://127.0.0.1:${silentOne.port}/${index}`)),
    );
    await expect.poll(() => silentOne.received.length).toBe(4);
    const ids = await Promise.all([1, 2, 3].map((n) => submitRefused(urlOf(`beside${n}`))));
    for (const id of ids) expect(await settled(id)).toMatchObject({ state: "delivered", attempts: 1 });
    const held = await sql<{ count: number }>`
      select count(*) from webhook_deliveries
      where request_id = any(${waiting}::uuid[]) and lease_expires_at is not null`.execute(db);
    expect(held.rows[0]?.count).toBeLessThanOrEqual(4);
    await sql`update webhook_deliveries set state = 'abandoned', finished_at = now() where request_id = any(${waiting}::uuid[])`.execute(
      db,
    );
  } finally {
    await silentOne.stop();
  }
});

/** A delivery that is due in an hour, of a request that ended without one. */
async function postponedDelivery(name: string): Promise<string> {
  const { body } = await service.call("POST", endpoint, { body: { rank: 7 } });
  const { request_id: id } = QueueStatus.parse(body);
  const next = sql<Date>`now() + interval '1 hour'`;
  await db
    .insertInto("webhook_deliveries")
    .values({ request_id: id, url: urlOf(name), next_attempt_at: next })
    .execute();
  return id;
}

async function makeDue(id: string): Promise<void> {
  await sql`update webhook_deliveries set next_attempt_at = now() where request_id = ${id}`.execute(db);
  await sql`select pg_notify('ltx_webhook', '')`.execute(db);
}

test("a body that cannot be made counts as an attempt, and is given up at last", async () => {
  const id = await postponedDelivery("poison");
  await sql`update requests set response_body = '{"a":' where id = ${id}`.execute(db);
  await makeDue(id);
  expect(await settled(id)).toMatchObject({ state: "abandoned", attempts: 3, last_status: null });
});

test("a receiver gets the payload of a request whose payloads were deleted meanwhile, and then it is gone", async () => {
  const id = await postponedDelivery("deleted");
  const { body: result } = await service.call("GET", `${endpoint}/requests/${id}`);
  // The second one must not replace the copy by what the first one left.
  for (const _ of [1, 2]) {
    const answer = await service.call("DELETE", `/v1/models/requests/${id}/payloads`);
    expect(answer.status).toBe(200);
  }
  expect((await service.call("GET", `${endpoint}/requests/${id}`)).status).toBe(404);
  await makeDue(id);
  expect(await settled(id)).toMatchObject({ state: "delivered", payload: null });
  expect(receivedFor(id).map(({ body }) => JSON.parse(body).payload)).toEqual([result]);
});

test("a receiver that is not there is tried again", async () => {
  const free = await Receiver.start();
  const { port } = free;
  await free.stop();
  expect(await settled(await submitRefused(`http://127.0.0.1:${port}/`))).toMatchObject({
    state: "abandoned",
    attempts: 3,
    last_status: null,
    last_error: expect.stringContaining("ECONNREFUSED"),
  });
});

test("a delivery whose server died is made when its lease runs out; one that ended meanwhile is left alone", async () => {
  const id = await submitRefused(urlOf("lease"));
  await settled(id);
  await sql`
    update webhook_deliveries
    set state = 'pending', finished_at = null, next_attempt_at = now(), lease_expires_at = now() + interval '1 second'
    where request_id = ${id}`.execute(db);
  await sql`select pg_notify('ltx_webhook', '')`.execute(db);
  expect(await settled(id)).toMatchObject({ state: "delivered", attempts: 2 });
  expect(receivedFor(id)).toHaveLength(2);
});

test("the documented check accepts a webhook, and refuses it when a byte, its time or its key is another", async () => {
  const example = new ExampleReceiver({ LTX_TRAINER_URL: service.url });
  try {
    const url = await example.url();
    const id = await submitRefused(url);
    expect(await settled(id)).toMatchObject({ state: "delivered", last_status: 200 });
    await expect.poll(() => example.said).toContain(`${id} failed: Unexpected status code: 422`);
    const copy = await submitRefused(urlOf("copy"));
    await settled(copy);
    const [{ headers, body }] = receivedFor(copy) as [Receiver["received"][number]];
    const send = async (changed: Record<string, string>, text = body) => {
      const signed = Object.entries(headers).filter(([name]) => name.startsWith("x-fal-webhook-"));
      const response = await fetch(url, {
        method: "POST",
        headers: { ...(Object.fromEntries(signed) as Record<string, string>), ...changed },
        body: text,
      });
      return response.status;
    };
    expect(await send({})).toBe(200);
    expect(await send({}, body.replace("ERROR", "OK"))).toBe(401);
    expect(await send({ "x-fal-webhook-timestamp": "1700000000" })).toBe(401);
    expect(await send({ "x-fal-webhook-user-id": "other" })).toBe(401);
    expect(await send({ "x-fal-webhook-signature": "00".repeat(64) })).toBe(401);
    expect(await send({ "x-fal-webhook-signature": "" })).toBe(401);
  } finally {
    await example.stop();
  }
});

test("the key outlives the server, and its x is what a strict decoder takes", async () => {
  const keys = async () =>
    (await service.call("GET", "/.well-known/jwks.json")).body as { keys: { x: string }[] };
  const before = await keys();
  expect(before.keys[0]?.x).toMatch(/^[\w-]{43}=$/);
  expect(before.keys[0]).toMatchObject({ kty: "OKP", crv: "Ed25519" });
  await service.pause();
  await service.resume();
  expect(await keys()).toEqual(before);
  expect(await service.call("GET", "/rest/.well-known/jwks.json")).toMatchObject({ body: before });
});

test("private addresses are refused unless allowed, and nothing reaches them", async () => {
  const strict = await TestService.start(settings);
  const own = openDatabase(strict.databaseAddress, { connections: 1, log: silent });
  try {
    const path = `${endpoint}?fal_webhook=${encodeURIComponent(urlOf("private"))}`;
    await strict.call("POST", path, { body: {} });
    const look = () => own.selectFrom("webhook_deliveries").selectAll().executeTakeFirst();
    await expect.poll(async () => (await look())?.state, { timeout: 120_000 }).toBe("abandoned");
    expect(await look()).toMatchObject({
      attempts: 1,
      last_error: expect.stringMatching(
        /special purpose, expected a public one; WEBHOOK_PRIVATE_TARGETS=true/,
      ),
    });
    expect(receiver.received.map(({ url }) => url)).not.toContain("/private");
  } finally {
    await own.destroy();
    await strict.end();
  }
});

/** The receiver that comes with the documentation, as a user runs it. */
class ExampleReceiver {
  said = "";
  readonly #child: ChildProcess;

  constructor(environment: Readonly<Record<string, string>>) {
    const program = fileURLToPath(
      new URL("../../../../examples/typescript/webhook-receiver.ts", import.meta.url),
    );
    this.#child = spawn(process.execPath, ["--import", "tsx", program], {
      env: { PATH: process.env.PATH ?? "", PORT: "0", ...environment },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child.stdout?.on("data", (piece) => {
      this.said += piece;
    });
  }

  async url(): Promise<string> {
    await expect.poll(() => this.said, { timeout: 120_000 }).toMatch(/http:\S+/);
    return /http:\S+/.exec(this.said)?.[0] ?? "";
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill();
    await gone;
  }
}
