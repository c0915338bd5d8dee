/** Who may do what over HTTP: proxy and CORS, tokens, scopes, the history, deletion, the queue as a whole. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createKey, revokeKey } from "../../access/keys.ts";
import { type Database, openDatabase } from "../../db/database.ts";
import { silent } from "../../testing/postgres.ts";
import { TestService } from "../../testing/service.ts";
import { QueueStatus } from "../../wire/queue.ts";

// Starting a service is slow on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const app = "fal-ai/ltx-video-trainer";
const input = { training_data_url: "https://example.com/a.zip" };
let service: TestService;
let db: Database;
/** Of the same user as the first key, but no administrator. */
let plainKey: { readonly id: string; readonly key: string };
let strangersKey: string;

beforeAll(async () => {
  service = await TestService.start({ LTX_TRAINER_DEVICES: "" });
  db = openDatabase(service.databaseAddress, { connections: 2, log: silent });
  plainKey = await createKey(db, { name: "plain", userId: "local", scope: "api" });
  strangersKey = (await createKey(db, { name: "other", userId: "stranger", scope: "api" })).key;
});
afterAll(async () => {
  await db.destroy();
  await service.end();
});

const withKey = (key: string) => ({ authorization: `Key ${key}` });

async function submitted(headers: Record<string, string> = {}, body: unknown = input): Promise<string> {
  const answer = await service.call("POST", `/queue/${app}`, { body, headers });
  return QueueStatus.parse(answer.body).request_id;
}

describe("the proxy", () => {
  const proxy = (method: string, target: string, options: Parameters<TestService["call"]>[2] = {}) =>
    service.call(method, "/api/fal/proxy", {
      ...options,
      headers: { ...options.headers, "x-fal-target-url": target },
    });

  test("leads to the queue's own routes, with method, query and body", async () => {
    const answer = await proxy("POST", `https://queue.fal.run/${app}?fal_max_queue_length=9`, {
      body: input,
    });
    const { request_id: id } = QueueStatus.parse(answer.body);
    const status = await proxy("GET", `https://queue.fal.run/${app}/requests/${id}/status?logs=1`);
    expect(status).toMatchObject({ status: 202, body: { request_id: id, logs: [] } });
    const cancelled = await proxy("PUT", `https://queue.fal.run/${app}/requests/${id}/cancel`);
    expect(cancelled.status).toBe(202);
  });

  test("refuses everything else without looking at it", async () => {
    for (const target of [
      "http://127.0.0.1:1/",
      "https://example.com/",
      "https://rest.fal.ai/applications/x",
    ]) {
      expect(await proxy("POST", target, { body: {} })).toMatchObject({
        status: 400,
        body: "Invalid request",
      });
    }
    expect(await service.call("GET", "/api/fal/proxy")).toMatchObject({
      status: 400,
      body: "Invalid request",
    });
  });
});

describe("strangers", () => {
  const endpoint = `/queue/${app}`;
  const nobody = "/files/upload/0190c000-0000-7000-8000-000000000000";

  /** Announces a body, sends `body` of it, and gives what comes back until the connection ends. */
  function refused(method: string, path: string, headers: string, body = ""): Promise<string> {
    return new Promise((resolve) => {
      let answer = "";
      const socket = connect(Number(new URL(service.url).port), "127.0.0.1", () =>
        socket.write(
          `${method} ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n${headers}\r\n${body}`,
        ),
      );
      socket.on("data", (piece) => {
        answer += piece;
        if (answer.includes("\r\n\r\n")) socket.end();
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(answer));
    });
  }

  test.each<[method: string, path: string, status: number]>([
    ["POST", endpoint, 401],
    ["POST", "/queue/fal-ai/flux", 404],
    ["PUT", `${endpoint}/requests/1/cancel`, 401],
    ["POST", `/run/${app}`, 401],
    ["POST", "/rest/tokens", 401],
    ["POST", "/rest/tokens/", 401],
    ["POST", "/rest/tokens/realtime", 401],
    ["POST", "/rest/storage/upload/initiate", 401],
    ["POST", "/rest/storage/upload/initiate-multipart", 401],
    ["POST", "/rest/storage/auth/token", 401],
    ["DELETE", "/v1/models/requests/1/payloads", 401],
    ["DELETE", `/rest/applications/${app}/queue`, 401],
    ["POST", "/files/upload", 401],
    ["POST", "/files/upload/multipart", 401],
    ["PUT", nobody, 403],
    ["PUT", `${nobody}/1`, 403],
    ["POST", `${nobody}/complete`, 403],
    ["PUT", "/files/b/a/b/multipart/1/1", 401],
    ["POST", "/files/b/a/b/multipart/1/complete", 401],
    ["POST", "/files/b/a/b/sign", 401],
    ["POST", "/api/fal/proxy", 400],
    ["POST", "/no/such/address", 404],
    ["PUT", "/healthz", 404],
  ])("%s %s are answered before their body has come, in a form that browsers may read", async (...call) => {
    const [method, path, status] = call;
    const answer = await refused(
      method,
      path,
      "content-type: application/json\r\norigin: https://a.example\r\n",
    );
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(/access-control-allow-origin: \*/);
  });

  test("with a wrong key, or a token for something else, are no better off", async () => {
    const { body: token } = await service.call("POST", "/rest/tokens", { body: { allowed_apps: ["flux"] } });
    expect(await refused("POST", endpoint, `authorization: Bearer ${token}\r\n`)).toMatch(/^HTTP\/1\.1 403 /);
    expect(await refused("POST", endpoint, "authorization: Key a:b\r\n")).toMatch(/^HTTP\/1\.1 401 /);
  });

  test("get no work done by a page of another origin that sends text", async () => {
    const body = `[${"{},".repeat(2 ** 20)}`;
    const headers = "content-type: text/plain\r\norigin: https://evil.example\r\nsec-fetch-mode: no-cors\r\n";
    expect(await refused("POST", endpoint, headers, body)).toMatch(/^HTTP\/1\.1 401 /);
  });

  test("get the wire's own form for what is no HTTP, no address, or too long a name", async () => {
    const long = "x".repeat(300);
    expect(await service.call("GET", `/files/b/00000000/${long}`)).toMatchObject({
      status: 404,
      body: { detail: "File not found" },
    });
    expect(await service.call("GET", "/files/b/%ff/x")).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining("not a valid url"), error_type: "bad_request" },
    });
    expect(await service.call("GET", `${endpoint}/requests/x/constructor`)).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining("no such address") },
    });
    expect(await refused("GET", "/ HTTP/9\r\n", "")).toMatch(
      /^HTTP\/1\.1 400 [\s\S]*"detail":"Not a valid HTTP request"/,
    );
    expect(await refused("GET", "/", `x-long: ${"x".repeat(20_000)}\r\n`)).toMatch(
      /^HTTP\/1\.1 431 [\s\S]*"detail":/,
    );
  });
});

describe("browsers", () => {
  test("are told before they ask that they may", async () => {
    const response = await fetch(`${service.url}/api/fal/proxy`, {
      method: "OPTIONS",
      headers: {
        origin: "https://app.example.com",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "authorization,content-type,x-fal-target-url",
      },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("access-control-allow-methods")).toMatch(/PUT/);
    expect(response.headers.get("access-control-allow-headers")).toMatch(/x-fal-target-url/);
  });

  test("may read the request's id, also of errors and streams", async () => {
    const id = await submitted({}, {});
    for (const part of ["", "/status/stream"]) {
      const response = await fetch(`${service.url}/queue/${app}/requests/${id}${part}`, {
        headers: { authorization: service.authorization, origin: "https://app.example.com" },
      });
      expect(response.headers.get("access-control-allow-origin")).toBe("*");
      expect(response.headers.get("access-control-expose-headers")).toMatch(/x-fal-request-id/);
      expect(response.headers.get("x-fal-request-id")).toBe(id);
      await response.text();
    }
  });

  test("of other origins are kept out when origins are named", async () => {
    const own = await TestService.start({ LTX_TRAINER_DEVICES: "", CORS_ORIGINS: "https://app.example.com" });
    try {
      const allowed = async (origin: string) =>
        (await fetch(`${own.url}/healthz`, { headers: { origin } })).headers.get(
          "access-control-allow-origin",
        );
      expect(await allowed("https://app.example.com")).toBe("https://app.example.com");
      expect(await allowed("https://evil.example.com")).toBeNull();
    } finally {
      await own.end();
    }
  });
});

describe("tokens", () => {
  const issue = (body: unknown, headers: Record<string, string> = {}) =>
    service.call("POST", "/rest/tokens/", { body, headers });
  const statusWith = (headers: Record<string, string>, query = "") =>
    service.call("GET", `/queue/${app}/requests/0190c000-0000-7000-8000-000000000000/status${query}`, {
      headers,
    });

  test("are a JSON string, and call the endpoint they are for until they run out", async () => {
    const { status, body: token } = await issue({ allowed_apps: ["ltx-video-trainer"], token_expiration: 1 });
    expect(status).toBe(200);
    expect(token).toEqual(expect.stringMatching(/^[\w-]{43}$/));
    const headers = { authorization: `Bearer ${token}` };
    // 404: whoever calls is known, the request is not.
    expect((await statusWith(headers)).status).toBe(404);
    await expect.poll(async () => (await statusWith(headers)).status, { timeout: 120_000 }).toBe(401);
    const rows = await db.selectFrom("tokens").selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(String(token));
  });

  test("may be given in the address, and in the newer form", async () => {
    const { body } = await service.call("POST", "/rest/tokens/realtime", { body: { app, duration: 60 } });
    const { token } = body as { token: string };
    const headers = { authorization: "" };
    expect((await statusWith(headers, `?fal_jwt_token=${token}`)).status).toBe(404);
    expect((await statusWith(headers, "?fal_jwt_token=x")).status).toBe(401);
  });

  test("for another endpoint are 403, and none makes tokens or looks into the history", async () => {
    const { body: other } = await issue({ allowed_apps: ["flux"] });
    expect(await statusWith({ authorization: `Bearer ${other}` })).toMatchObject({
      status: 403,
      body: { detail: expect.stringMatching(/^Cannot access application/) },
    });
    const { body: own } = await issue({ allowed_apps: [app] });
    const headers = { authorization: `Bearer ${own}` };
    expect((await issue({ allowed_apps: [app] }, headers)).status).toBe(403);
    const history = `/v1/models/requests/by-endpoint?endpoint_id=${app}`;
    expect((await service.call("GET", history, { headers })).status).toBe(403);
  });

  test.each([
    [{}, ["body", "allowed_apps"]],
    [{ allowed_apps: [] }, ["body", "allowed_apps"]],
    [{ allowed_apps: "x" }, ["body", "allowed_apps"]],
    [{ app, duration: 0 }, ["body", "duration"]],
    [{ app, duration: 1e9 }, ["body", "duration"]],
    [[], ["body"]],
  ])("%j is refused in pydantic's form", async (body, loc) => {
    expect(await issue(body)).toMatchObject({ status: 422, body: { detail: [{ loc }] } });
  });

  test("end with the key that made them, which ends within seconds", async () => {
    const { id, key } = await createKey(db, { name: "short", userId: "local", scope: "api" });
    const { body: token } = await issue({ allowed_apps: [app] }, withKey(key));
    const headers = { authorization: `Bearer ${token}` };
    expect((await statusWith(headers)).status).toBe(404);
    expect(await revokeKey(db, id)).toEqual({ name: "short" });
    expect(await revokeKey(db, id)).toBeUndefined();
    await expect.poll(async () => (await statusWith(headers)).status, { timeout: 120_000 }).toBe(401);
    await expect
      .poll(async () => (await statusWith(withKey(key))).body, { timeout: 120_000 })
      .toEqual({ detail: "invalid key credentials" });
  });
});

test("the key of the first start may do what programs do, and administer nothing", async () => {
  const rows = await db.selectFrom("keys").select(["name", "scope"]).where("name", "=", "first").execute();
  expect(rows).toEqual([{ name: "first", scope: "api" }]);
});

describe("the history", () => {
  type Page = { items: Record<string, unknown>[]; next_cursor: string | null; has_more: boolean };
  async function look(query: string, headers: Record<string, string> = {}): Promise<Page> {
    const path = `/v1/models/requests/by-endpoint?endpoint_id=${encodeURIComponent(app)}${query}`;
    const { status, body } = await service.call("GET", path, { headers });
    expect(status, JSON.stringify(body)).toBe(200);
    return body as Page;
  }

  test("gives the newest first, page by page, each once", async () => {
    const ids = [await submitted(), await submitted(), await submitted()];
    const first = await look("&limit=2");
    expect(first.items.map(({ request_id: id }) => id)).toEqual([ids[2], ids[1]]);
    expect(first.has_more).toBe(true);
    const second = await look(`&limit=1&cursor=${first.next_cursor}`);
    expect(second.items.map(({ request_id: id }) => id)).toEqual([ids[0]]);
    expect(first.items[0]).toEqual({
      request_id: ids[2],
      endpoint_id: app,
      sent_at: expect.stringMatching(/Z$/),
      started_at: null,
      ended_at: null,
      status_code: null,
      duration: null,
    });
  });

  test("filters by outcome and request, and shows payloads when asked to, unless they were not to be kept", async () => {
    const kept = await submitted({}, { rank: 7 });
    const secret = await submitted({ "x-fal-store-io": "0" }, { rank: 7 });
    const one = await look(`&request_id=${kept}&expand=payloads&status=user_error`);
    expect(one.items).toMatchObject([
      { status_code: 422, json_input: { rank: 7 }, json_output: { detail: [{}, {}] } },
    ]);
    const other = await look(`&request_id=${secret}&expand=payloads`);
    expect(other.items).toMatchObject([{ status_code: 422, json_input: null, json_output: null }]);
    expect((await look(`&request_id=${kept}&status=success`)).items).toEqual([]);
    expect((await look(`&request_id=${kept}`, withKey(strangersKey))).items).toEqual([]);
    expect((await look("&end=2020-01-01T00:00:00Z")).items).toEqual([]);
  });

  test.each(["limit=0", "limit=101", "status=bad", "request_id=1", "cursor=%21", "cursor=eA", "start=soon"])(
    "%s is a bad request that names the parameter",
    async (query) => {
      const path = `/v1/models/requests/by-endpoint?endpoint_id=${app}&${query}`;
      expect(await service.call("GET", path)).toMatchObject({
        status: 400,
        body: { detail: expect.stringMatching(new RegExp(`^${query.split("=")[0]}: `)) },
      });
    },
  );

  test("forgets what a request said when an administrator asks", async () => {
    const id = await submitted({}, { rank: 7 });
    const path = `/v1/models/requests/${id}/payloads`;
    const plain = await service.call("DELETE", path, { headers: withKey(plainKey.key) });
    expect(plain).toMatchObject({
      status: 403,
      body: { detail: expect.stringContaining('expected "admin"') },
    });
    const deleted = await service.call("DELETE", path);
    expect(deleted).toMatchObject({ status: 200, body: { cdn_delete_results: [] } });
    expect((await look(`&request_id=${id}&expand=payloads`)).items).toMatchObject([
      { status_code: 422, json_input: null, json_output: null },
    ]);
    expect((await service.call("GET", `/queue/${app}/requests/${id}`)).status).toBe(404);
    expect((await service.call("GET", `/queue/${app}/requests/${id}/status`)).status).toBe(200);
    const waiting = await submitted();
    const early = await service.call("DELETE", `/v1/models/requests/${waiting}/payloads`);
    expect(early).toMatchObject({ status: 400, body: { detail: expect.stringContaining("no end yet") } });
    expect((await service.call("DELETE", "/v1/models/requests/nope/payloads")).status).toBe(404);
  });

  test("forgets a dataset that came in the request itself", async () => {
    const data = `data:application/zip;base64,${Buffer.alloc(2 ** 20).toString("base64")}`;
    const id = await submitted({}, { training_data_url: data });
    await service.call("PUT", `/queue/${app}/requests/${id}/cancel`);
    const deleted = await service.call("DELETE", `/v1/models/requests/${id}/payloads`);
    expect(deleted.body).toEqual({ cdn_delete_results: [{ link: expect.any(String), exception: null }] });
    const rows = await db.selectFrom("files").select("id").where("input_of", "=", id).execute();
    expect(rows).toEqual([]);
  });
});

describe("the queue as a whole", () => {
  const path = `/rest/applications/${app}/queue`;

  test("says how many wait, whose they are to administrators alone, and can be emptied by them", async () => {
    await service.call("DELETE", path);
    const ids = [await submitted(), await submitted(withKey(strangersKey))];
    expect((await service.call("GET", path)).body).toEqual({ size: 2, by_user: { local: 1, stranger: 1 } });
    const headers = withKey(plainKey.key);
    expect((await service.call("GET", path, { headers })).body).toEqual({ size: 2 });
    expect((await service.call("DELETE", path, { headers })).status).toBe(403);
    expect((await service.call("DELETE", path)).body).toEqual({ size: 0, cancelled: 2 });
    expect(await service.call("GET", `/queue/${app}/requests/${ids[0]}`)).toMatchObject({ status: 499 });
    expect((await service.call("GET", "/rest/applications/fal-ai/flux/queue")).status).toBe(404);
  });
});
