/** Two endpoints on one server: `test/echo` is three files, and everything that a client can ask works for it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Database, openDatabase } from "../db/database.ts";
import { insertRequest } from "../db/requests/requests.ts";
import { echo } from "../testing/echo/endpoint.ts";
import { EchoOutput } from "../testing/echo/schema.ts";
import { silent } from "../testing/postgres.ts";
import { TestService } from "../testing/service.ts";
import { trainerEndpoint } from "../testing/trainer-endpoint.ts";
import { QueueStatus } from "../wire/queue.ts";
import { EndpointRegistry } from "./registry.ts";

const queue = `/queue/${echo.name}`;
let service: TestService;
let db: Database;

beforeAll(async () => {
  service = await TestService.start({}, silent, [echo]);
  db = openDatabase(service.databaseAddress, { connections: 1, log: silent });
});
afterAll(async () => {
  await db.destroy();
  await service.end();
});

async function submit(body: unknown): Promise<string> {
  const answer = await service.call("POST", queue, { body });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return QueueStatus.parse(answer.body).request_id;
}

async function resultOf(id: string) {
  const status = async () => (await service.call("GET", `${queue}/requests/${id}/status`)).body;
  await expect.poll(status).toMatchObject({ status: "COMPLETED" });
  return service.call("GET", `${queue}/requests/${id}`);
}

async function fileOf(body: unknown): Promise<unknown> {
  const { file } = EchoOutput.parse(body);
  return (await fetch(file.url)).json();
}

test("an endpoint's command does the work, and its files are published", async () => {
  const { status, headers, body } = await resultOf(await submit({ words: "hello" }));
  expect(status).toBe(200);
  expect(headers.get("x-fal-billable-units")).toBe("5");
  expect(body).toMatchObject({ words: "hello", file: { content_type: "application/json" } });
  expect(await fileOf(body)).toEqual({ command: "echo", words: "hello", content: null });
});

test("a synchronous run answers with the output", async () => {
  const { status, body } = await service.call("POST", `/run/${echo.name}`, { body: { words: "now" } });
  expect(status).toBe(200);
  expect(body).toMatchObject({ words: "now" });
});

test("its file fields take data URIs, and the command gets a path", async () => {
  const text = "inside ".repeat(300);
  const uri = `data:text/plain;base64,${Buffer.from(text).toString("base64")}`;
  const { body } = await resultOf(await submit({ words: "carry", attachment_url: uri }));
  expect(await fileOf(body)).toMatchObject({ content: text });
});

test("its schema refuses an input, and its table says what a failure means", async () => {
  const refused = await resultOf(await submit({ words: "" }));
  expect(refused).toMatchObject({ status: 422, body: { detail: [{ loc: ["body", "words"] }] } });
  const path = await resultOf(await submit({ words: "a", attachment_url: "/etc/passwd" }));
  expect(path).toMatchObject({ status: 422, body: { detail: [{ loc: ["body", "attachment_url"] }] } });
  const failed = await resultOf(await submit({ words: "fail" }));
  expect(failed).toMatchObject({
    status: 422,
    body: { detail: [{ loc: ["body", "attachment_url"], type: "image_load_error", msg: "Not readable" }] },
  });
});

test("it has its own documentation, history, counts and queue", async () => {
  const document = await service.call("GET", `/api/openapi/queue/openapi.json?endpoint_id=${echo.name}`);
  expect(document.body).toMatchObject({
    info: { "x-fal-metadata": { endpointId: echo.name, category: "testing" } },
    components: { schemas: { EchoInput: { required: ["words"] }, EchoOutput: {} } },
    paths: { [`/${echo.name}`]: {} },
  });
  const id = await submit({ words: "remembered" });
  await resultOf(id);
  const history = await service.call("GET", `/v1/models/requests/by-endpoint?endpoint_id=${echo.name}`);
  expect(JSON.stringify(history.body)).toContain(id);
  const other = await service.call(
    "GET",
    `/v1/models/requests/by-endpoint?endpoint_id=${trainerEndpoint.name}`,
  );
  expect(other.body).toMatchObject({ items: [] });
  const metrics = await fetch(`${service.url}/metrics`, {
    headers: { authorization: service.authorization },
  });
  const text = await metrics.text();
  expect(text).toMatch(/^ltx_endpoint_requests\{endpoint="test\/echo",state="succeeded"\} [1-9]/m);
  expect(text).toContain(`ltx_endpoint_requests{endpoint="${trainerEndpoint.name}",state="succeeded"} 0`);
  const size = await service.call("GET", `/rest/applications/${echo.name}/queue`);
  expect(size.body).toMatchObject({ size: 0 });
});

test("the first endpoint works beside it, and a third is not found", async () => {
  const refused = await service.call("POST", `/queue/${trainerEndpoint.name}`, { body: { words: "a" } });
  expect(refused.status).toBe(200);
  expect((await service.call("POST", "/queue/test/other", { body: { words: "a" } })).status).toBe(404);
  const main = await service.call("GET", "/openapi.json");
  expect(main.body).toMatchObject({
    info: { "x-fal-metadata": { endpointId: trainerEndpoint.name } },
  });
});

test("a request of an endpoint that no server here has waits for one that has it", async () => {
  const made = await submit({ words: "template" });
  await resultOf(made);
  const row = await db.selectFrom("requests").selectAll().where("id", "=", made).executeTakeFirstOrThrow();
  const id = "00000000-0000-7000-8000-000000000001";
  await insertRequest(db, {
    id,
    endpoint: "test/elsewhere",
    path: "",
    userId: row.user_id,
    keyId: row.key_id,
    publicUrl: row.public_url,
    input: "{}",
    refusal: undefined,
    priority: "normal",
    webhookUrl: null,
    startTimeoutSeconds: null,
    lifecycle: null,
    storesIo: true,
  });
  // Behind it in the queue, and done first.
  await resultOf(await submit({ words: "next" }));
  const waiting = await db.selectFrom("requests").select("state").where("id", "=", id).executeTakeFirst();
  expect(waiting).toEqual({ state: "queued" });
});

test("a row's endpoint that is not registered is an error that names those that are", () => {
  const registry = new EndpointRegistry(trainerEndpoint, echo);
  expect(registry.names).toEqual([trainerEndpoint.name, echo.name]);
  expect(() => registry.get("a/b")).toThrow(/endpoint a\/b: expected one of .*test\/echo/);
});
