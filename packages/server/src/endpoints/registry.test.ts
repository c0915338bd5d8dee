/** Two endpoints on one server. `test/echo` consists of three files, and every route works for it. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Database, openDatabase } from "../db/database.ts";
import { type ClaimedRequest, claimTrained } from "../db/requests/leases.ts";
import { insertRequest } from "../db/requests/requests.ts";
import { readHomeId } from "../jobs/home-id.ts";
import { publishOutputs } from "../jobs/publish.ts";
import type { Signer } from "../storage/signer.ts";
import type { FileStore } from "../storage/stores/file-store.ts";
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

test("the trainer's endpoint works beside it, and an unknown one is not found", async () => {
  const refused = await service.call("POST", `/queue/${trainerEndpoint.name}`, { body: { words: "a" } });
  expect(refused.status).toBe(200);
  expect((await service.call("POST", "/queue/test/other", { body: { words: "a" } })).status).toBe(404);
  const main = await service.call("GET", "/openapi.json");
  expect(main.body).toMatchObject({
    info: { "x-fal-metadata": { endpointId: trainerEndpoint.name } },
  });
});

/** A queued request that no route accepted. */
async function insertQueued(id: string, endpoint: string, input: unknown): Promise<void> {
  const made = await submit({ words: "template" });
  await resultOf(made);
  const row = await db.selectFrom("requests").selectAll().where("id", "=", made).executeTakeFirstOrThrow();
  await insertRequest(db, {
    id,
    endpoint,
    path: "",
    userId: row.user_id,
    keyId: row.key_id,
    publicUrl: row.public_url,
    input: JSON.stringify(input),
    refusal: undefined,
    priority: "normal",
    webhookUrl: null,
    startTimeoutSeconds: null,
    lifecycle: null,
    storesIo: true,
  });
}

async function setTrained(id: string, outputs: unknown, home: string): Promise<void> {
  const values = { trained_outputs: JSON.stringify(outputs), trained_home: home, trained_at: new Date() };
  await db.updateTable("requests").set(values).where("id", "=", id).execute();
}

function stateOf(id: string) {
  return db.selectFrom("requests").select("state").where("id", "=", id).executeTakeFirst();
}

test("a worker claims only requests of endpoints that it serves", async () => {
  const id = "00000000-0000-7000-8000-000000000001";
  await insertQueued(id, "test/elsewhere", {});
  // Submitted later and done first.
  await resultOf(await submit({ words: "next" }));
  expect(await stateOf(id)).toEqual({ state: "queued" });
  await setTrained(id, {}, readHomeId(service.home));
  const { id: workerId } = await db.selectFrom("workers").select("id").executeTakeFirstOrThrow();
  const claimer = { workerId, leaseId: randomUUID(), leaseSeconds: 60 };
  const home = readHomeId(service.home);
  expect(await claimTrained(db, { ...claimer, endpoints: [echo.name] }, home)).toBeUndefined();
  expect(await claimTrained(db, { ...claimer, endpoints: ["test/elsewhere"] }, home)).toMatchObject({
    requestId: id,
    endpoint: "test/elsewhere",
  });
});

test("outputs that do not fit the endpoint's schema are not published: the command runs again", async () => {
  const id = "00000000-0000-7000-8000-000000000002";
  // Under another name first, so that no worker claims it before it counts as trained.
  await insertQueued(id, "test/elsewhere", { words: "again" });
  await setTrained(id, { words: 1 }, readHomeId(service.home));
  await db.updateTable("requests").set({ endpoint: echo.name }).where("id", "=", id).execute();
  expect((await resultOf(id)).body).toMatchObject({ words: "again", file: {} });
});

test("a name that is not registered is an error that lists those that are; a name is registered once", () => {
  const registry = new EndpointRegistry(trainerEndpoint, echo);
  expect(registry.names).toEqual([trainerEndpoint.name, echo.name]);
  expect(() => registry.get("a/b")).toThrow(/endpoint a\/b: expected one of .*test\/echo/);
  expect(() => new EndpointRegistry(echo, { ...echo })).toThrow(/endpoint test\/echo: got two/);
});

test("only files among filesOf are published", async () => {
  const store = { adopt: () => Promise.reject(new Error("not reached")) } as unknown as FileStore;
  const endpoint = { ...echo, filesOf: () => [] };
  const outputs = { words: "a", file: "/etc/hostname" };
  const deps = { endpoint, store, signer: {} as Signer, stored: new Map() };
  await expect(publishOutputs(outputs, {} as ClaimedRequest, deps)).rejects.toThrow(/filesOf lacks/);
});
