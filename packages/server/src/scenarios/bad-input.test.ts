/**
 * What must not work, as real HTTP: for every case a clear answer of the right status, as JSON, in short time, that tells
 * nothing of the machine; and a service that is as well afterwards as before.
 */
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { v7 as uuidv7 } from "uuid";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { createKey } from "../access/keys.ts";
import { type Database, openDatabase } from "../db/database.ts";
import { badInputs, goodInput as good } from "../testing/bad-inputs.ts";
import { silent } from "../testing/postgres.ts";
import { type Answer, TestService } from "../testing/service.ts";
import { QueueStatus } from "../wire/queue.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const endpoint = "/queue/fal-ai/ltx-video-trainer";
const limitBytes = 200_000;
const seen: string[] = [];
let service: TestService;
let database: Database;
let strangersKey: string;

beforeAll(async () => {
  service = await TestService.start({ LTX_TRAINER_DEVICES: "", MAX_BODY_BYTES: String(limitBytes) });
  database = openDatabase(service.databaseAddress, { connections: 1, log: silent });
  strangersKey = (await createKey(database, { name: "other", userId: "stranger", scope: "api" })).key;
});
afterAll(async () => {
  await database.destroy();
  await service.end();
});

/** Nothing that was answered names a folder, a file of ours, a statement, or a key. */
afterEach(() => {
  const leaks = [service.home, "/root", "node_modules", "    at ", "select ", "insert ", "pg_", "ECONN"];
  for (const text of seen.splice(0)) {
    for (const leak of [...leaks, service.authorization.split(":")[1] ?? ""])
      expect(text).not.toContain(leak);
  }
});

async function call(...args: Parameters<TestService["call"]>): Promise<Answer> {
  const answer = await service.call(...args);
  seen.push(JSON.stringify(answer.body) ?? "", JSON.stringify([...answer.headers]));
  return answer;
}

/** Submits a body, and gives the result. */
async function resultOf(body: unknown): Promise<Answer> {
  const submitted = await call("POST", endpoint, { body });
  expect(submitted.status, JSON.stringify(submitted.body)).toBe(200);
  return call("GET", `${endpoint}/requests/${QueueStatus.parse(submitted.body).request_id}`);
}

describe("input: accepted, and told at the result in pydantic's words", () => {
  test.each(badInputs)("%s", async (_name, body, loc, type) => {
    const { status, headers, body: answer } = await resultOf(body);
    expect(status).toBe(422);
    expect(headers.get("x-fal-needs-retry")).toBe("0");
    const { detail } = answer as { detail: { loc: unknown; type: string; msg: string }[] };
    expect(detail).toHaveLength(1);
    expect(detail[0]).toMatchObject({ loc: ["body", ...loc], type, msg: expect.stringMatching(/\w{3}/) });
  });

  test("keys that would reach into JavaScript are keys like any other", async () => {
    const body =
      '{"__proto__": {"training_data_url": "https://example.com/a.zip"}, "constructor": {"prototype": 1}}';
    expect(await resultOf(body)).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ["body", "training_data_url"], type: "missing" }] },
    });
    expect(({} as Record<string, unknown>).training_data_url).toBeUndefined();
  });

  test("a long value is not repeated in full", async () => {
    const { body } = await resultOf({ training_data_url: `/${"x".repeat(100_000)}` });
    expect(JSON.stringify(body).length).toBeLessThan(2_000);
  });
});

describe("bodies: refused at once", () => {
  test.each<[name: string, body: string | Uint8Array<ArrayBuffer>, status: number]>([
    ["half of an object", '{"a": 1', 422],
    ["two values", "{}{}", 422],
    ["a comment", "{/* */}", 422],
    ["NaN", '{"learning_rate": NaN}', 422],
    ["a bare control character", '{"a": "\u0001"}', 422],
    ["XML", "<a/>", 422],
    ["bytes that are no UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 422],
    ["UTF-16", Uint8Array.from(Buffer.from("{}", "utf16le")), 422],
    ["a zip", Uint8Array.from([0x50, 0x4b, 3, 4, 0, 0, 0xff]), 422],
    ["100,000 brackets", "[".repeat(100_000), 422],
    ["more than allowed", "x".repeat(limitBytes + 1), 413],
  ])("%s", async (_name, body, status) => {
    const headers = { authorization: service.authorization, "content-type": "application/json" };
    const response = await fetch(service.url + endpoint, { method: "POST", headers, body });
    const text = await response.text();
    seen.push(text);
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).toContain("application/json");
    expect(JSON.parse(text)).toHaveProperty("detail");
    expect(text.length).toBeLessThan(2_000);
  });

  test("one that announces more than is allowed is refused before it comes", async () => {
    const answer = await raw(`content-length: ${10 ** 12}\r\n`, "{");
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });

  test("one without end is cut at the limit", async () => {
    const answer = await raw(
      "transfer-encoding: chunked\r\n",
      `10000\r\n${"x".repeat(0x10000)}\r\n`.repeat(8),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });

  test("two lengths at once, which proxies read differently, are refused", async () => {
    expect(await raw("content-length: 2\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n")).toMatch(
      /^HTTP\/1\.1 400 /,
    );
  });

  test("slow ones hold nobody up", async () => {
    const slow = Array.from({ length: 50 }, () => connect(Number(new URL(service.url).port), "127.0.0.1"));
    for (const socket of slow) {
      socket.on("error", () => {});
      socket.write(
        `POST ${endpoint} HTTP/1.1\r\nhost: a\r\nauthorization: ${service.authorization}\r\ncontent-length: 99\r\n\r\n{`,
      );
    }
    await delay(200);
    expect((await call("POST", endpoint, { body: good })).status).toBe(200);
    for (const socket of slow) socket.destroy();
  });
});

describe("headers and query", () => {
  test.each<[name: string, value: string]>([
    ["x-fal-queue-priority", "urgent"],
    ["x-fal-request-timeout", "soon"],
    ["x-fal-request-timeout", "0"],
    ["x-fal-request-timeout", "-1"],
    ["x-fal-request-timeout", "Infinity"],
    ["x-fal-object-lifecycle-preference", "{"],
    ["x-fal-object-lifecycle-preference", "[1]"],
  ])("%s: %s", async (name, value) => {
    const answer = await call("POST", endpoint, { body: good, headers: { [name]: value } });
    expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringContaining(name) } });
  });

  test.each([
    ...["?fal_webhook=", "?fal_webhook=nowhere", "?fal_webhook=ftp://a/", "?fal_webhook=javascript:alert(1)"],
    ...[
      "?fal_webhook=http://",
      "?fal_max_queue_length=-1",
      "?fal_max_queue_length=1e3",
      "?fal_max_queue_length=x",
    ],
  ])("%s", async (query) => {
    const name = /\?(\w+)/.exec(query)?.[1] ?? "";
    const answer = await call("POST", endpoint + query, { body: good });
    expect(answer).toMatchObject({ status: 400, body: { detail: expect.stringContaining(name) } });
  });

  test("headers beyond all measure", async () => {
    expect(await raw(`x-long: ${"x".repeat(100_000)}\r\n`, "")).toMatch(/^HTTP\/1\.1 431 /);
  });

  test("what is no HTTP", async () => {
    expect(await rawBytes("\x16\x03\x01\x00\xa5 hello\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe("keys", () => {
  test.each<[name: string, authorization: string]>([
    ["none", ""],
    ["no scheme", "abc"],
    ["a scheme alone", "Key "],
    ["nonsense", "Key nonsense"],
    ["an id alone", "Key 00000000-0000-0000-0000-000000000000:"],
    ["an SQL trick", "Key ' or '1'='1:x"],
    ["a zero byte in disguise", "Key %00:%00"],
    ["Basic", "Basic YTpi"],
    ["a Bearer that is no token", "Bearer nonsense"],
    ["10,000 characters", `Key ${"a".repeat(10_000)}`],
  ])("%s", async (_name, authorization) => {
    for (const [method, path] of [
      ["POST", endpoint],
      ["GET", `${endpoint}/requests/${uuidv7()}`],
      ["PUT", `${endpoint}/requests/${uuidv7()}/cancel`],
    ] as const) {
      const answer = await call(method, path, {
        headers: { authorization },
        ...(method === "POST" ? { body: good } : {}),
      });
      expect(answer).toMatchObject({ status: 401, body: { detail: expect.stringMatching(/\w/) } });
    }
  });

  test("the right id with a wrong secret", async () => {
    const wrong = service.authorization.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
    expect(await call("POST", endpoint, { body: good, headers: { authorization: wrong } })).toMatchObject({
      status: 401,
    });
  });
});

describe("addresses and ids", () => {
  test.each([
    ...["nope", "0", "-1", "null", "%00", "%ff", "%F0%9F%98%80", "a".repeat(3000)],
    ...[
      "..%2F..%2Fetc%2Fpasswd",
      "..%5C..%5Cwin.ini",
      "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
      "'%20or%20'1'='1",
      "{id}",
    ],
    ...["00000000-0000-0000-0000-000000000000", "019e8887-52ac-7f31-88fc-1ed35f2bc8bbb"],
  ])("the id %s", async (id) => {
    for (const [method, part] of [
      ["GET", ""],
      ["GET", "/status"],
      ["PUT", "/cancel"],
    ] as const) {
      const { status, body } = await call(method, `${endpoint}/requests/${id}${part}`);
      expect([400, 404]).toContain(status);
      expect(JSON.stringify(body)).toMatch(/NOT_FOUND|no such address|not a valid/);
    }
  });

  test("somebody else's request looks like none at all, with each method", async () => {
    const { request_id: id } = QueueStatus.parse((await call("POST", endpoint, { body: good })).body);
    const headers = { authorization: `Key ${strangersKey}` };
    for (const [method, part] of [
      ["GET", ""],
      ["GET", "/status"],
      ["PUT", "/cancel"],
    ] as const) {
      const theirs = await call(method, `${endpoint}/requests/${id}${part}`, { headers });
      const none = await call(method, `${endpoint}/requests/${uuidv7()}${part}`, { headers });
      expect([theirs.status, theirs.body]).toEqual([none.status, none.body]);
    }
    expect((await call("GET", `${endpoint}/requests/${id}/status`)).body).toMatchObject({
      status: "IN_QUEUE",
    });
  });

  test.each<[method: string, path: string]>([
    ["POST", "/queue/fal-ai/flux"],
    ["POST", "/queue/fal-ai"],
    ["POST", "/queue/"],
    ["GET", "/queue/fal-ai/ltx-video-trainer"],
    ["DELETE", endpoint],
    ["PATCH", endpoint],
    ["GET", "/../../etc/passwd"],
    ["GET", "/%2e%2e/%2e%2e/etc/passwd"],
    ["GET", "/.env"],
    ["GET", "/assets/home.js"],
    ["POST", "/metrics"],
  ])("%s %s", async (method, path) => {
    const { status, body } = await call(method, path, method === "POST" ? { body: good } : {});
    expect([400, 404, 405]).toContain(status);
    expect(body).toHaveProperty("detail");
  });
});

describe("webhooks to where they must not go", () => {
  test.each([
    ...[
      "http://127.0.0.1:1/",
      "http://localhost:1/",
      "http://0.0.0.0:1/",
      "http://[::1]:1/",
      "http://127.1:1/",
    ],
    ...[
      "http://2130706433:1/",
      "http://0x7f000001:1/",
      "http://017700000001:1/",
      "http://[::ffff:127.0.0.1]:1/",
    ],
    ...[
      "http://169.254.169.254/latest/meta-data/",
      "http://10.0.0.1/",
      "http://192.168.0.1/",
      "http://100.64.0.1/",
    ],
    ...["http://[fd00::1]/", "http://[fe80::1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/"],
  ])("%s is never connected to, and the request itself is as good as any", async (webhook) => {
    const query = `?fal_webhook=${encodeURIComponent(webhook)}`;
    const { status, body } = await call("POST", endpoint + query, { body: {} });
    expect(status).toBe(200);
    const { request_id: id } = QueueStatus.parse(body);
    const find = () =>
      database
        .selectFrom("webhook_deliveries")
        .selectAll()
        .where("request_id", "=", id)
        .executeTakeFirstOrThrow();
    await expect.poll(async () => (await find()).state, { timeout: 120_000 }).toBe("abandoned");
    expect(await find()).toMatchObject({
      attempts: 1,
      last_status: null,
      last_error: expect.stringContaining("expected a public one"),
    });
  });
});

test("after all that the service is ready, and takes the next request", async () => {
  expect(await call("GET", "/readyz")).toMatchObject({ status: 200 });
  expect(await call("POST", endpoint, { body: good })).toMatchObject({
    status: 200,
    body: { status: "IN_QUEUE" },
  });
});

/** A call with headers that `fetch` would not send. */
function raw(headers: string, body: string): Promise<string> {
  const start = `POST ${endpoint} HTTP/1.1\r\nhost: a\r\nauthorization: ${service.authorization}\r\n`;
  return rawBytes(`${start}${headers}\r\n${body}`);
}

function rawBytes(bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(Number(new URL(service.url).port), "127.0.0.1", () =>
      socket.write(bytes, "latin1"),
    );
    socket.on("data", (piece) => {
      answer += piece;
      socket.end();
    });
    // The server cuts off who goes on sending; what counts has been read by then.
    socket.on("error", () => {});
    socket.on("close", () => {
      seen.push(answer);
      resolve(answer);
    });
  });
}
