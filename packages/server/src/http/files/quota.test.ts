/** What one user can take of disk, database and queue, also with calls that come at the same time. */
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { sql } from "kysely";
import { Agent, request as undiciRequest } from "undici";
import { v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createKey } from "../../access/keys.ts";
import { type Database, openDatabase } from "../../db/database.ts";
import { removeExpiredReservations } from "../../db/files/reservations.ts";
import { removeOldKeys } from "../../db/requests/idempotency.ts";
import { claim } from "../../db/requests/leases.ts";
import { cancelAllQueued, fail } from "../../db/requests/transitions.ts";
import { registerWorker } from "../../db/workers.ts";
import type { Initiated } from "../../testing/file-client.ts";
import { silent } from "../../testing/postgres.ts";
import { TestService } from "../../testing/service.ts";
import { trainerEndpoint } from "../../testing/trainer-endpoint.ts";
import { QueueStatus } from "../../wire/queue.ts";
import { cancelledFailure } from "../../wire/request-failures.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const mib = 2 ** 20;
const endpoint = "/queue/fal-ai/ltx-video-trainer";
const input = { training_data_url: "https://example.com/a.zip" };
let service: TestService;
let db: Database;

beforeAll(async () => {
  service = await TestService.start({
    LTX_TRAINER_DEVICES: "",
    STORAGE_BYTES_PER_USER: String(10 * mib),
    MAX_UPLOAD_BYTES: String(9 * mib),
    MAX_WAITING_PER_USER: "3",
    DISK_RESERVE_BYTES: "0",
  });
  db = openDatabase(service.databaseAddress, { connections: 2, log: silent });
});
afterAll(async () => {
  await db.destroy();
  await service.end();
});

/** Over a connection of its own: one whose body is refused is closed, which another call on it would notice. */
async function fetchAlone(url: string, init: RequestInit): Promise<Response> {
  const dispatcher = new Agent();
  try {
    const { statusCode: status, body } = await undiciRequest(url, {
      method: init.method as "PUT" | "POST",
      body:
        init.body instanceof ReadableStream ? Readable.fromWeb(init.body as never) : (init.body as Buffer),
      headers: (init.headers ?? {}) as Record<string, string>,
      dispatcher,
    });
    return new Response(await body.text(), { status });
  } finally {
    await dispatcher.destroy();
  }
}

/** A user with a quota of its own. */
class User {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;

  private constructor(name: string, key: string) {
    this.name = name;
    this.headers = { authorization: `Key ${key}` };
  }

  static async make(name: string, scope: "api" | "admin" = "api"): Promise<User> {
    return new User(name, (await createKey(db, { name, userId: name, scope })).key);
  }

  call(method: string, path: string, body?: unknown) {
    return service.call(method, path, { headers: this.headers, ...(body === undefined ? {} : { body }) });
  }

  send(body: Uint8Array | ReadableStream<Uint8Array>): Promise<Response> {
    const options = { method: "POST", body, headers: this.headers, duplex: "half" };
    return fetchAlone(`${service.url}/files/upload`, options as RequestInit);
  }

  async announce(): Promise<{
    part: (n: number, bytes: Uint8Array) => Promise<Response>;
    id: string;
    url: string;
  }> {
    const { body } = await this.call("POST", "/rest/storage/upload/initiate-multipart", {});
    const { upload_url, file_url } = body as Initiated;
    const { origin, pathname, search } = new URL(upload_url);
    return {
      part: (n, body) => fetchAlone(`${origin}${pathname}/${n}${search}`, { method: "PUT", body }),
      id: pathname.split("/").at(-1) ?? "",
      url: file_url,
    };
  }

  async submit(body: unknown = input): Promise<string> {
    return QueueStatus.parse((await this.call("POST", endpoint, body)).body).request_id;
  }
}

const statuses = async (answers: Promise<Response>[]) =>
  (await Promise.all(answers)).map(({ status }) => status).toSorted();

const reservations = (user: User) =>
  db.selectFrom("byte_reservations").selectAll().where("user_id", "=", user.name).execute();

test("of five uploads of 9 MiB at a time, under a quota of 10 MiB, one passes", async () => {
  const user = await User.make("parallel");
  const content = randomBytes(9 * mib);
  expect(await statuses([1, 2, 3, 4, 5].map(() => user.send(content)))).toEqual([200, 413, 413, 413, 413]);
  expect(await reservations(user)).toEqual([]);
  const refused = await user.send(randomBytes(2 * mib));
  expect(await refused.json()).toMatchObject({
    detail: expect.stringMatching(
      /^Storage quota exceeded: .* 1048576 of 10485760 are left\. Remove files \(DELETE/,
    ),
  });
  expect((await user.send(randomBytes(mib))).status).toBe(200);
  expect((await user.send(randomBytes(1))).status).toBe(413);
});

test("the same when no length is announced: what is let through stays within the quota", async () => {
  const user = await User.make("chunked");
  const stream = () => {
    let left = 9;
    return new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- > 0) controller.enqueue(randomBytes(mib));
        else controller.close();
      },
    });
  };
  expect(
    (await statuses([1, 2, 3].map(() => user.send(stream())))).filter((status) => status === 200).length,
  ).toBeLessThanOrEqual(1);
  expect(await reservations(user)).toEqual([]);
});

test("parts that come at the same time stay below the largest file, and what is joined does too", async () => {
  const user = await User.make("parts");
  const { part, id } = await user.announce();
  const half = randomBytes(5 * mib);
  expect(await statuses([part(1, half), part(2, half)])).toEqual([200, 413]);
  // As if two servers had not known of each other.
  for (const number of [1, 2]) {
    await sql`
      insert into upload_parts (upload_id, part_number, size_bytes, etag) values (${id}, ${number}, ${5 * mib}, 'e')
      on conflict (upload_id, part_number) do update set etag = 'e'`.execute(db);
  }
  const upload = await db
    .selectFrom("uploads")
    .innerJoin("files", "files.id", "file_id")
    .select(["store", "name"])
    .where("uploads.id", "=", id)
    .executeTakeFirstOrThrow();
  const complete = await user.call(
    "POST",
    `/files/b/${upload.store}/${upload.name}/multipart/${id}/complete`,
    { parts: [1, 2].map((partNumber) => ({ partNumber, etag: "e" })) },
  );
  expect(complete).toMatchObject({ status: 413, body: { detail: expect.stringMatching(/at most 9437184/) } });
});

test("files, parts and data URIs count together; a part that is sent again replaces itself", async () => {
  const user = await User.make("all");
  expect((await user.send(randomBytes(6 * mib))).status).toBe(200);
  const { part } = await user.announce();
  expect((await part(1, randomBytes(3 * mib))).status).toBe(200);
  expect((await part(1, randomBytes(3 * mib))).status).toBe(200);
  expect((await part(2, randomBytes(2 * mib))).status).toBe(413);
  const inside = `data:video/mp4;base64,${randomBytes(2 * mib).toString("base64")}`;
  expect((await user.call("POST", endpoint, { training_data_url: inside })).status).toBe(413);
});

test("a reservation whose server died counts until it expires, and is removed", async () => {
  const user = await User.make("crashed");
  await sql`
    insert into byte_reservations (id, user_id, bytes, expires_at)
    values (gen_random_uuid(), ${user.name}, ${9 * mib}, now() + interval '1 hour')`.execute(db);
  expect((await user.send(randomBytes(2 * mib))).status).toBe(413);
  await sql`update byte_reservations set expires_at = now() where user_id = ${user.name}`.execute(db);
  expect((await user.send(randomBytes(2 * mib))).status).toBe(200);
  await removeExpiredReservations(db);
  expect(await reservations(user)).toEqual([]);
});

test("of a body that is refused some KiB are stored and repeated, and of unknown keys too", async () => {
  const user = await User.make("large");
  const long = "x".repeat(200_000);
  const many = Array.from({ length: 2_000 }, (_, index) => ({
    prompt: index,
    [`${index}`]: long.slice(0, 100),
  }));
  for (const body of [{ rank: long }, { rank: [{ a: [long] }] }, { validation: many }, [long], { a: long }]) {
    const id = await user.submit(body);
    const { status, body: answer } = await user.call("GET", `${endpoint}/requests/${id}`);
    expect(status).toBe(422);
    expect(JSON.stringify(answer).length).toBeLessThan(32_000);
  }
  const address = await user.submit({ training_data_url: "ftp://user:s3cret@host.example/a.zip" });
  const { body: refusal } = await user.call("GET", `${endpoint}/requests/${address}`);
  expect(refusal).toMatchObject({ detail: [{ input: "ftp://[secret]@host.example/a.zip" }] });
  const accepted = await user.submit({ ...input, trigger_phrase: "zxq", junk: long, more: [{ deep: long }] });
  const rows = await db
    .selectFrom("requests")
    .select(["id", "input", "payload_bytes as bytes"])
    .where("user_id", "=", user.name)
    .execute();
  expect(rows).toHaveLength(7);
  for (const { bytes } of rows) expect(bytes).toBeLessThan(48_000);
  expect(JSON.parse(rows.find(({ id }) => id === accepted)?.input ?? "")).toMatchObject({
    ...input,
    trigger_phrase: "zxq",
    junk: expect.stringMatching(/^x{500}\.\.\. \(200000 characters\)$/),
  });
});

test("what requests carry counts towards the quota", async () => {
  const user = await User.make("carrying");
  const id = await user.submit({ rank: 7 });
  await sql`update requests set response_body = to_json(repeat('x', ${10 * mib}))::text where id = ${id}`.execute(
    db,
  );
  expect((await user.send(randomBytes(1))).status).toBe(413);
  expect((await user.call("POST", endpoint, { rank: 7 })).status).toBe(413);
});

test("a page of the history ends where its payloads are large, and the next one goes on", async () => {
  const user = await User.make("history");
  const ids = [
    await user.submit({ rank: 7 }),
    await user.submit({ rank: 8 }),
    await user.submit({ rank: 9 }),
  ];
  const body = sql`to_json(repeat('x', ${5 * mib}))::text`;
  await sql`update requests set response_body = ${body} where id = any(${ids}::uuid[])`.execute(db);
  const path = "/v1/models/requests/by-endpoint?endpoint_id=fal-ai/ltx-video-trainer";
  type Page = {
    items: { request_id: string; json_output: string }[];
    next_cursor: string | null;
    has_more: boolean;
  };
  const seen: string[] = [];
  for (let cursor = ""; ; ) {
    const page = (await user.call("GET", `${path}&expand=payloads${cursor}`)).body as Page;
    expect(page.items).toHaveLength(1);
    expect(page.items[0]?.json_output).toHaveLength(5 * mib);
    seen.push(page.items[0]?.request_id ?? "");
    expect(page.has_more).toBe(page.next_cursor !== null);
    if (page.next_cursor === null) break;
    cursor = `&cursor=${page.next_cursor}`;
  }
  expect(seen).toEqual(ids.toReversed());
  expect(((await user.call("GET", path)).body as Page).items).toHaveLength(3);
});

test("an owner deletes a file, which frees its room; not one that a request is yet to read", async () => {
  const [user, other] = [await User.make("deleting"), await User.make("other")];
  const sent = await user.send(randomBytes(9 * mib));
  const { access_url: url } = (await sent.json()) as { access_url: string };
  const path = new URL(url).pathname;
  const id = await user.submit({ training_data_url: url });
  expect(await user.call("DELETE", path)).toMatchObject({
    status: 409,
    body: { detail: `The file is in use by request ${id}: cancel it, or wait for its end` },
  });
  await user.call("PUT", `${endpoint}/requests/${id}/cancel`);
  // Whoever was given the address keeps nobody from deleting the file.
  await other.submit({ training_data_url: url });
  expect((await other.call("DELETE", path)).status).toBe(404);
  const { body } = await user.call("POST", "/rest/storage/auth/token", {});
  const token = `Bearer ${(body as { token: string }).token}`;
  for (const [authorization, status] of [
    [token, 403],
    ["", 401],
  ] as const) {
    expect((await service.call("DELETE", path, { headers: { authorization } })).status).toBe(status);
  }
  expect((await fetch(url)).status).toBe(200);
  expect((await user.call("DELETE", path)).status).toBe(204);
  expect((await fetch(url)).status).toBe(404);
  expect((await user.call("DELETE", path)).status).toBe(404);
  const announced = await user.announce();
  expect((await announced.part(1, randomBytes(9 * mib))).status).toBe(200);
  expect((await user.call("DELETE", new URL(announced.url).pathname)).status).toBe(204);
  expect((await announced.part(1, randomBytes(1))).status).toBe(404);
  expect((await user.send(randomBytes(9 * mib))).status).toBe(200);
});

test("a user has so many requests waiting, and no more; others are not concerned", async () => {
  const [user, other] = [await User.make("waiting"), await User.make("patient")];
  const ids = [await user.submit(), await user.submit(), await user.submit()];
  expect(await user.call("POST", endpoint, input)).toMatchObject({
    status: 429,
    body: {
      detail: expect.stringMatching(/^Too many requests: 3 of yours wait already, expected fewer than 3/),
    },
  });
  await other.submit();
  await user.call("PUT", `${endpoint}/requests/${ids[0]}/cancel`);
  await user.submit();
});

test("a user with enough running requests waits, and others are served meanwhile", async () => {
  await cancelAllQueued(db, "fal-ai/ltx-video-trainer");
  const [user, other] = [await User.make("running"), await User.make("served")];
  const ids = [await user.submit(), await user.submit(), await other.submit()];
  const workerId = uuidv7();
  await registerWorker(db, { id: workerId, devices: [] });
  const next = () =>
    claim(db, {
      workerId,
      leaseId: uuidv7(),
      leaseSeconds: 600,
      endpoints: [trainerEndpoint.name],
      runningPerUser: 1,
    });
  const claimed = [await next(), await next(), await next()];
  expect(claimed.map((one) => one?.requestId)).toEqual([ids[0], ids[2], undefined]);
  if (claimed[0] !== undefined) await fail(db, claimed[0], cancelledFailure);
  const last = await next();
  expect(last?.requestId).toBe(ids[1]);
  for (const one of [claimed[1], last]) if (one !== undefined) await fail(db, one, cancelledFailure);
});

test("a user's idempotency keys are limited: beyond that the oldest expire, and expired ones go", async () => {
  const user = await User.make("keys");
  for (const key of ["a", "b", "c", "d"]) {
    const headers = { ...user.headers, "idempotency-key": key };
    expect((await service.call("POST", endpoint, { body: { rank: 7 }, headers })).status).toBe(200);
  }
  await sql`update idempotency_keys set created_at = now() - interval '25 hours' where key = 'd'`.execute(db);
  await removeOldKeys(db, 2);
  const left = await db
    .selectFrom("idempotency_keys")
    .select("key")
    .where("user_id", "=", user.name)
    .execute();
  expect(left.map(({ key }) => key).toSorted()).toEqual(["b", "c"]);
});

test("an administrator lists the requests of all users that have not ended, and cancels one", async () => {
  const [admin, one, two] = [
    await User.make("root", "admin"),
    await User.make("one"),
    await User.make("two"),
  ];
  const ids = [await one.submit(), await two.submit(), await one.submit()];
  type Page = {
    items: { request_id: string; user_id: string }[];
    next_cursor: string | null;
    has_more: boolean;
  };
  const list = async (query: string) => (await admin.call("GET", `/v1/queue/requests${query}`)).body as Page;
  const first = await list("?user_id=one&limit=1&status=IN_QUEUE");
  expect(first).toMatchObject({
    items: [
      {
        request_id: ids[0],
        user_id: "one",
        endpoint_id: "fal-ai/ltx-video-trainer",
        status: "IN_QUEUE",
        priority: "normal",
        started_at: null,
      },
    ],
    has_more: true,
  });
  const second = await list(`?user_id=one&cursor=${first.next_cursor}`);
  expect(second).toMatchObject({ items: [{ request_id: ids[2] }], next_cursor: null, has_more: false });
  const everybody = (await list("?limit=100")).items;
  expect(everybody.filter(({ request_id: id }) => ids.includes(id))).toHaveLength(3);
  expect((await list("?status=IN_PROGRESS")).items).toEqual([]);
  expect((await admin.call("GET", "/v1/queue/requests?limit=0")).status).toBe(400);
  for (const [method, path] of [
    ["GET", "/v1/queue/requests"],
    ["PUT", `/v1/queue/requests/${ids[1]}/cancel`],
  ] as const) {
    expect((await two.call(method, path)).status).toBe(403);
    expect((await service.call(method, path, { headers: { authorization: "" } })).status).toBe(401);
  }
  const path = `/v1/queue/requests/${ids[1]}/cancel`;
  expect(await admin.call("PUT", path)).toMatchObject({
    status: 202,
    body: { status: "CANCELLATION_REQUESTED" },
  });
  expect((await admin.call("PUT", path)).status).toBe(400);
  expect((await admin.call("PUT", "/v1/queue/requests/nope/cancel")).status).toBe(404);
  const { body } = await two.call("GET", `${endpoint}/requests/${ids[1]}`);
  expect(body).toMatchObject({ error_type: "client_cancelled" });
});
