/** The queue API, answer by answer: codes, headers and bodies that the hosted service's clients rely on. No training runs. */

import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createKey } from "../../access/keys.ts";
import { openDatabase } from "../../db/database.ts";
import { claim } from "../../db/requests/leases.ts";
import { appendLogs } from "../../db/requests/request-logs.ts";
import { setBack } from "../../db/requests/transitions.ts";
import { registerWorker } from "../../db/workers.ts";
import { silent } from "../../testing/postgres.ts";
import { TestService } from "../../testing/service.ts";
import { trainerEndpoint } from "../../testing/trainer-endpoint.ts";
import { QueueStatus } from "../../wire/queue.ts";

// Starting a service is slow on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const endpoint = "/queue/fal-ai/ltx-video-trainer";
const input = { training_data_url: "https://example.com/a.zip" };
let service: TestService;
/** Somebody else's. */
let strangersKey: string;

beforeAll(async () => {
  service = await TestService.start({ LTX_TRAINER_DEVICES: "" });
  const db = openDatabase(service.databaseAddress, { connections: 1, log: silent });
  strangersKey = (await createKey(db, { name: "other", userId: "stranger", scope: "api" })).key;
  await db.destroy();
});
afterAll(() => service.end());

async function submit(
  options: {
    readonly body?: unknown;
    readonly query?: string;
    readonly headers?: Record<string, string>;
  } = {},
) {
  const { body = input, query = "", headers = {} } = options;
  return service.call("POST", `${endpoint}${query}`, { body, headers });
}

async function submitted(options?: Parameters<typeof submit>[0]): Promise<string> {
  return QueueStatus.parse((await submit(options)).body).request_id;
}

const get = (id: string, part = "", query = "") =>
  service.call("GET", `${endpoint}/requests/${id}${part}${query}`);

describe("submitting", () => {
  test("answers 200 with exactly the fields clients know, and addresses they build themselves", async () => {
    const { status, headers, body } = await submit();
    const { request_id: id, queue_position } = body as { request_id: string; queue_position: number };
    const own = `${service.url}${endpoint}/requests/${id}`;
    expect(status).toBe(200);
    expect(headers.get("x-fal-request-id")).toBe(id);
    expect(body).toEqual({
      status: "IN_QUEUE",
      request_id: id,
      response_url: own,
      status_url: `${own}/status`,
      cancel_url: `${own}/cancel`,
      logs: null,
      metrics: {},
      queue_position,
    });
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  });

  test("the addresses name the host by which the client came", async () => {
    const { body } = await submit({
      headers: { "x-forwarded-host": "evil.example", "x-forwarded-proto": "https" },
    });
    expect((body as QueueStatus).status_url).toContain(`${service.url}/`);
  });

  test.each([
    ["x-fal-queue-priority", "urgent", /x-fal-queue-priority: got "urgent", expected normal or low/],
    ["x-fal-request-timeout", "soon", /x-fal-request-timeout: got "soon", expected seconds/],
    ["x-fal-request-timeout", "-1", /expected seconds, more than 0/],
    ["x-fal-object-lifecycle-preference", "[1]", /expected a JSON object/],
  ])("header %s: %s is a bad request", async (name, value, message) => {
    const { status, headers, body } = await submit({ headers: { [name]: value } });
    expect(status).toBe(400);
    expect(headers.get("x-fal-error-type")).toBe("bad_request");
    expect(body).toEqual({ detail: expect.stringMatching(message), error_type: "bad_request" });
  });

  test.each([
    ["?fal_webhook=ftp%3A%2F%2Fa", /fal_webhook: got "ftp:/],
    ["?fal_max_queue_length=many", /fal_max_queue_length: got "many"/],
  ])("query %s is a bad request", async (query, message) => {
    expect(await submit({ query })).toMatchObject({
      status: 400,
      body: { detail: expect.stringMatching(message) },
    });
  });

  test("fal_max_queue_length refuses when more wait", async () => {
    await submit();
    await submit();
    expect((await submit({ query: "?fal_max_queue_length=1" })).status).toBe(429);
    expect((await submit({ query: "?fal_max_queue_length=100000" })).status).toBe(200);
  });

  test("what is no JSON is refused at once", async () => {
    for (const body of ["{", '{"a":1}}', '"\u0001"']) {
      const answer = await submit({ body });
      expect(answer).toMatchObject({
        status: 422,
        body: { detail: [{ type: "json_invalid", loc: ["body", 0] }] },
      });
    }
  });

  test("another application is not found", async () => {
    expect(await service.call("POST", "/queue/fal-ai/flux", { body: input })).toMatchObject({
      status: 404,
      body: { detail: 'Application "fal-ai/flux" not found' },
    });
  });
});

describe("an input that cannot be worked on", () => {
  test("is accepted, completes, and its result is the 422", async () => {
    const answer = await submit({ body: { rank: 7 }, headers: { "x-fal-queue-priority": "low" } });
    expect(answer).toMatchObject({ status: 200, body: { status: "IN_QUEUE" } });
    const id = QueueStatus.parse(answer.body).request_id;
    const status = await get(id, "/status", "?logs=1");
    expect(status.status).toBe(200);
    expect(status.body).toMatchObject({
      status: "COMPLETED",
      logs: [],
      metrics: { inference_time: 0 },
      error: "Unexpected status code: 422",
    });
    const result = await get(id);
    expect(result.status).toBe(422);
    expect(result.headers.get("x-fal-billable-units")).toBe("0");
    expect(result.headers.get("x-fal-needs-retry")).toBe("0");
    expect(result.body).toEqual({
      detail: [
        { loc: ["body", "training_data_url"], type: "missing", msg: "Field required", input: { rank: 7 } },
        {
          loc: ["body", "rank"],
          type: "literal_error",
          msg: "Input should be 8, 16, 32, 64 or 128",
          ctx: { expected: "8, 16, 32, 64 or 128" },
          input: 7,
        },
      ],
    });
  });

  test("may be no object, or nothing at all", async () => {
    for (const [body, type] of [
      ["[]", "model_attributes_type"],
      ["null", "model_attributes_type"],
      ["", "missing"],
    ]) {
      const result = await get(await submitted({ body }));
      expect(result).toMatchObject({ status: 422, body: { detail: [{ loc: ["body"], type }] } });
    }
  });

  test.each(["/etc/passwd", "file:///etc/passwd", "ftp://a/b.zip", "../a.zip", "http://", "ltx-nano"])(
    "data at %s, which is no address, is never looked at",
    async (source) => {
      const result = await get(await submitted({ body: { training_data_url: source } }));
      expect(result).toMatchObject({
        status: 422,
        body: { detail: [{ loc: ["body", "training_data_url"], type: "value_error", input: source }] },
      });
    },
  );

  test("a sub-path that the trainer does not have is 404 at the result, under the endpoint's own address", async () => {
    const answer = await service.call("POST", `${endpoint}/i2v`, { body: input });
    const { request_id: id, response_url } = QueueStatus.parse(answer.body);
    expect(response_url).toBe(`${service.url}${endpoint}/requests/${id}`);
    expect(await get(id)).toMatchObject({ status: 404, body: { detail: "Path /i2v not found" } });
  });
});

describe("status", () => {
  test("is 202 while waiting, with the requests ahead and no logs unless asked for", async () => {
    const before = await submitted();
    const id = await submitted();
    const { status, headers, body } = await get(id, "/status");
    const ahead = ((await get(before, "/status")).body as { queue_position: number }).queue_position;
    expect(status).toBe(202);
    expect(headers.get("x-fal-request-id")).toBe(id);
    expect(body).toMatchObject({ status: "IN_QUEUE", queue_position: ahead + 1, logs: null, metrics: {} });
  });

  test.each(["1", "true"])("logs=%s gives a list", async (value) => {
    expect((await get(await submitted(), "/status", `?logs=${value}`)).body).toMatchObject({ logs: [] });
  });

  test.each(["0", "false"])("logs=%s gives null", async (value) => {
    expect((await get(await submitted(), "/status", `?logs=${value}`)).body).toMatchObject({ logs: null });
  });

  test("of a request that went back to the queue has its log", async () => {
    await submitted();
    const db = openDatabase(service.databaseAddress, { connections: 1, log: silent });
    const workerId = uuidv4();
    await registerWorker(db, { id: workerId, devices: ["cpu"] });
    const lease = await claim(db, {
      workerId,
      leaseId: uuidv4(),
      leaseSeconds: 60,
      endpoints: [trainerEndpoint.name],
    });
    if (lease === undefined) throw new Error("the queue is empty");
    await appendLogs(db, lease, [{ at: new Date(), level: "WARN", message: "The server could not go on" }]);
    await setBack(db, lease, { pauseSeconds: 600, counts: true });
    await db.destroy();
    const status = async () => (await get(lease.requestId, "/status", "?logs=1")).body;
    await expect.poll(status).toMatchObject({
      status: "IN_QUEUE",
      logs: [{ level: "WARN", message: "The server could not go on" }],
    });
  });

  test("old forms of the address work: sub-path kept, slash at the end, /response", async () => {
    const id = await submitted();
    expect((await service.call("GET", `${endpoint}/i2v/requests/${id}/status`)).status).toBe(202);
    expect((await get(id, "/status/")).status).toBe(202);
    expect((await get(id, "/response")).status).toBe(400);
  });

  test.each(["nope", uuidv7(), "%00", "..%2F..%2Fetc", "'; drop table requests; --", "a".repeat(5000)])(
    "an id that is none (%s) is not found",
    async (id) => {
      for (const part of ["/status", "", "/cancel"]) {
        const method = part === "/cancel" ? "PUT" : "GET";
        const answer = await service.call(method, `${endpoint}/requests/${id}${part}`);
        expect(answer).toMatchObject({ status: 404 });
      }
    },
  );

  test("of somebody else's request is not found, nor is its result, nor can it be cancelled", async () => {
    const id = await submitted();
    const headers = { authorization: `Key ${strangersKey}` };
    for (const [method, part] of [
      ["GET", "/status"],
      ["GET", ""],
      ["PUT", "/cancel"],
    ] as const) {
      const answer = await service.call(method, `${endpoint}/requests/${id}${part}`, { headers });
      expect(answer).toMatchObject({ status: 404, body: { status: "NOT_FOUND" } });
    }
    expect((await get(id, "/status")).body).toMatchObject({ status: "IN_QUEUE" });
  });
});

describe("result and cancel", () => {
  test("a result that is not there yet is 400", async () => {
    expect(await get(await submitted())).toMatchObject({
      status: 400,
      body: { detail: "Request is still in progress" },
    });
  });

  test("a waiting request is cancelled at once, once, with and without a body", async () => {
    const id = await submitted();
    const cancel = () => service.call("PUT", `${endpoint}/requests/${id}/cancel`);
    expect(await cancel()).toMatchObject({ status: 202, body: { status: "CANCELLATION_REQUESTED" } });
    expect(await get(id, "/status")).toMatchObject({
      status: 200,
      body: { status: "COMPLETED", error_type: "client_cancelled" },
    });
    const result = await get(id);
    expect(result).toMatchObject({ status: 499, body: { detail: "Request cancelled by the client." } });
    expect(result.headers.get("x-fal-error-type")).toBe("client_cancelled");
    expect(await cancel()).toMatchObject({ status: 400, body: { status: "ALREADY_COMPLETED" } });
  });
});

describe("keys", () => {
  test("without one the application is named, a wrong one is invalid", async () => {
    const call = (authorization: string) =>
      service.call("GET", `${endpoint}/requests/${uuidv7()}/status`, { headers: { authorization } });
    expect(await call("")).toMatchObject({
      status: 401,
      body: { detail: expect.stringMatching(/^Cannot access application "fal-ai\/ltx-video-trainer"/) },
    });
    for (const wrong of ["Key nonsense", "Key a:b", `${service.authorization}x`, "Key \u00e9:\u00e9"]) {
      expect(await call(wrong)).toMatchObject({ status: 401, body: { detail: "invalid key credentials" } });
    }
    expect(await call("Bearer x")).toMatchObject({
      status: 401,
      body: { detail: "bearer: unable to decode issuer" },
    });
  });

  test("the secret is nowhere in the database", async () => {
    const db = openDatabase(service.databaseAddress, { connections: 1, log: silent });
    const rows = await db.selectFrom("keys").selectAll().execute();
    await db.destroy();
    const secret = service.authorization.split(":")[1] ?? "";
    expect(secret).toHaveLength(32);
    expect(JSON.stringify(rows)).not.toContain(secret);
  });
});

describe("everything else", () => {
  test("an unknown address is 404, a body beyond the limit 413, both as JSON", async () => {
    expect(await service.call("GET", "/nothing")).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining("/nothing") },
    });
    const small = await TestService.start({ LTX_TRAINER_DEVICES: "", MAX_BODY_BYTES: "2000" });
    try {
      const answer = await small.call("POST", endpoint, { body: { training_data_url: "x".repeat(3000) } });
      expect(answer).toMatchObject({ status: 413, body: { error_type: "bad_request" } });
    } finally {
      await small.end();
    }
  });

  test("it says that it lives and that it is ready", async () => {
    expect(await service.call("GET", "/healthz")).toMatchObject({ status: 200, body: { status: "ok" } });
    expect(await service.call("GET", "/readyz")).toMatchObject({ status: 200, body: { status: "ready" } });
  });
});
