/** Data URIs in requests: read as they are written, moved into the store, read back from there by the trainer alone. */
import { existsSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { type AppError, TrainJob } from "@ltx-trainer/contract";
import { parseDataUri } from "@ltx-trainer/host";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createKey } from "../access/keys.ts";
import { type Database, openDatabase } from "../db/database.ts";
import { Confinement } from "../jobs/confine/confinement.ts";
import { RequestFolder } from "../jobs/confine/request-folder.ts";
import { makeJob } from "../jobs/request-job.ts";
import { Signer } from "../storage/signer.ts";
import { DiskStore } from "../storage/stores/disk-store.ts";
import { FileClient } from "../testing/file-client.ts";
import { silent } from "../testing/postgres.ts";
import { TestService } from "../testing/service.ts";
import { trainerEndpoint } from "../testing/trainer-endpoint.ts";
import { QueueStatus } from "../wire/queue.ts";

describe("a data URI", () => {
  test.each([
    ["data:text/plain;base64,aGk=", "text/plain", "hi"],
    ["DATA:Text/Plain;charset=utf-8;BASE64,aGk", "text/plain", "hi"],
    ["data:;base64,aGk=", "application/octet-stream", "hi"],
    ["data:application/zip;base64,-_-_", "application/zip", "\u00fb\u00ff\u00bf"],
    ["data:text/plain,a%20b%2C%ff", "text/plain", "a b,\u00ff"],
    ["data:,100%", "application/octet-stream", "100%"],
    ["data:text/plain;base64,", "text/plain", ""],
  ])("%s", (uri, contentType, text) => {
    const parsed = parseDataUri(Buffer.from(uri));
    expect(parsed?.contentType).toBe(contentType);
    expect(Buffer.from(parsed?.bytes ?? []).toString("latin1")).toBe(text);
  });

  test.each(["data:text/plain;base64", "data:", "data:a/b;base64,a*b", "data:a/b;base64,a=bc"])(
    "%s is none",
    (uri) => {
      expect(parseDataUri(Buffer.from(uri))).toBeUndefined();
    },
  );
});

const endpoint = "/queue/fal-ai/ltx-video-trainer";
let service: TestService;
let db: Database;
let strangersKey = "";

beforeAll(async () => {
  service = await TestService.start({ LTX_TRAINER_DEVICES: "", DISK_RESERVE_BYTES: "0" });
  db = openDatabase(service.databaseAddress, { connections: 2, log: silent });
  strangersKey = (await createKey(db, { name: "s", userId: "stranger", scope: "api" })).key;
});
afterAll(async () => {
  await db.destroy();
  await service.end();
});

async function inputAfter(body: unknown): Promise<Record<string, unknown> & { training_data_url: string }> {
  const answer = await service.call("POST", endpoint, { body });
  const { request_id: id } = QueueStatus.parse(answer.body);
  const query = db.selectFrom("requests").select("input").where("id", "=", id);
  return JSON.parse((await query.executeTakeFirstOrThrow()).input);
}

const large = (text: string) => `data:image/png;base64,${Buffer.from(text.repeat(500)).toString("base64")}`;

/** The job for an input, as the supervisor makes it. */
async function jobFor(input: unknown, userId = "local"): Promise<TrainJob> {
  const { config } = service;
  const deps = {
    db,
    store: new DiskStore(service.home),
    signer: await Signer.open(db),
    publicUrls: [service.url],
    userId,
    folder: service.home,
  };
  const job = await makeJob(input, {
    endpoint: trainerEndpoint,
    folder: new RequestFolder(service.home, "test"),
    device: "cpu",
    config,
    attempts: 1,
    inputFiles: deps,
    confinement: new Confinement(undefined),
  });
  return TrainJob.parse(job);
}

test("large ones become files that only their owner can read; everything else of the input stays", async () => {
  const validation = [
    { prompt: "one", image_url: large("one") },
    { prompt: "two", image_url: "https://example.com/two.png" },
  ];
  const input = await inputAfter({ training_data_url: large("data"), rank: "8", unknown: 1.5, validation });
  const address = new RegExp(`^${service.url}/files/b/[0-9a-f]{8}/[0-9a-f]{32}_input\\.png$`);
  expect(input).toEqual({
    training_data_url: expect.stringMatching(address),
    rank: "8",
    unknown: 1.5,
    validation: [{ prompt: "one", image_url: expect.stringMatching(address) }, validation[1]],
  });
  const url = input.training_data_url;
  expect((await fetch(url)).status).toBe(404);
  const read = await fetch(url, { headers: { authorization: service.authorization } });
  expect(read.headers.get("content-type")).toBe("image/png");
  expect(await read.text()).toBe("data".repeat(500));
  const job = await jobFor(input);
  expect(readFileSync(job.training_data_url, "utf8")).toBe("data".repeat(500));
  expect(readFileSync(job.validation[0]?.image_url ?? "", "utf8")).toBe("one".repeat(500));
  expect(job.validation[1]?.image_url).toBe("https://example.com/two.png");
  expect(job.source_names?.[job.training_data_url]).toBe(url);
  expect(job.address_policy).toBe("public");
});

test.each([
  ["small", "data:text/plain,hello"],
  ["no data URI", `https://example.com/${"a".repeat(2000)}`],
])("what is %s stays as it came", async (_what, source) => {
  expect(await inputAfter({ training_data_url: source })).toEqual({ training_data_url: source });
});

test("one that cannot be read is the result at once, and is not kept", async () => {
  const source = `data:text/plain;base64,${"*".repeat(2000)}`;
  const validation = [{ prompt: "a", image_url: source }];
  const input = await inputAfter({ training_data_url: source });
  expect(input).toEqual({ training_data_url: expect.stringMatching(/^data:[^*]*\(2023 characters\)$/) });
  for (const [body, field] of [
    [{ training_data_url: source }, "training_data_url"],
    [{ training_data_url: "https://example.com/a.zip", validation }, "validation"],
  ] as const) {
    const { request_id: id } = QueueStatus.parse((await service.call("POST", endpoint, { body })).body);
    expect(await service.call("GET", `${endpoint}/requests/${id}`)).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ["body", field], type: "file_download_error" }] },
    });
  }
});

test("one of megabytes takes the way through a thread to the same place, also under an idempotency key", async () => {
  const bytes = Buffer.alloc(2 ** 21, "data");
  const body = { training_data_url: `data:video/mp4;base64,${bytes.toString("base64")}` };
  const headers = { "idempotency-key": "large" };
  const input = await inputAfter(body);
  const read = await fetch(input.training_data_url, { headers: { authorization: service.authorization } });
  expect(Buffer.from(await read.arrayBuffer()).equals(bytes)).toBe(true);
  const submit = (given: unknown) => service.call("POST", endpoint, { body: given, headers });
  const first = QueueStatus.parse((await submit(body)).body);
  expect((await submit(body)).body).toMatchObject({ request_id: first.request_id });
  const other = { training_data_url: body.training_data_url.replace("ZGF0", "ZGF1") };
  expect((await submit(other)).status).toBe(422);
});

test("of a user's large ones two are read at a time, whichever keys they come with", async () => {
  const { key: second } = await createKey(db, { name: "second", userId: "local", scope: "api" });
  const body = JSON.stringify({ training_data_url: `data:video/mp4;base64,${"AAAA".repeat(2 ** 19)}` });
  const statuses: Promise<number | undefined>[] = [];
  const open = [service.authorization, `Key ${second}`, `Key ${second}`].map((authorization) => {
    const headers = { authorization, "content-length": body.length };
    const sending = request(`${service.url}${endpoint}`, { method: "POST", headers });
    sending.on("error", () => {});
    statuses.push(new Promise((done) => sending.once("response", ({ statusCode }) => done(statusCode))));
    sending.write(body.slice(0, 1000));
    return sending;
  });
  // The two that are taken wait for the rest of their body.
  expect(await Promise.race(statuses)).toBe(503);
  const headers = { authorization: `Key ${strangersKey}` };
  expect((await fetch(service.url + endpoint, { method: "POST", headers, body })).status).toBe(200);
  for (const sending of open) sending.destroy();
});

describe("an address of our own storage", () => {
  const failed = (input: unknown, userId?: string) =>
    jobFor(input, userId).then(
      () => undefined,
      (error: unknown) => (error as AppError).code,
    );

  test("is read from the store under any name of this server, by whoever may read it", async () => {
    const client = new FileClient(service);
    const url = await client.upload("open");
    const { pathname } = new URL(url);
    for (const origin of [service.url, "https://v3.fal.media", "http://somewhere.example"]) {
      const job = await jobFor({ training_data_url: origin + pathname });
      expect(readFileSync(job.training_data_url, "utf8")).toBe("open");
    }
    expect(await failed({ training_data_url: url }, "stranger")).toBeUndefined();
  });

  test("of a private file is refused to others, unless it is signed", async () => {
    const client = new FileClient(service);
    const url = await client.upload("closed", {
      "x-fal-object-lifecycle-preference": '{"initial_acl":{"default":"forbid"}}',
    });
    expect(await failed({ training_data_url: url })).toBeUndefined();
    expect(await failed({ training_data_url: url }, "stranger")).toBe("source_not_found");
    const { body } = await service.call("POST", `${new URL(url).pathname}/sign`, { body: { duration: 60 } });
    const signed = (body as { url: string }).url;
    const job = await jobFor({ training_data_url: signed }, "stranger");
    expect(existsSync(job.training_data_url)).toBe(true);
    expect(JSON.stringify(job)).not.toContain("signature");
    expect((await fetch(url, { headers: { authorization: `Key ${strangersKey}` } })).status).toBe(403);
  });

  test("where there is no such file it is never fetched; elsewhere it is somebody else's", async () => {
    const path = `/files/b/00000000/${"0".repeat(32)}_a.zip`;
    expect(await failed({ training_data_url: service.url + path })).toBe("source_not_found");
    expect(await failed({ training_data_url: `https://v3b.fal.media${path}` })).toBe("source_not_found");
    const elsewhere = `https://example.com${path}`;
    expect((await jobFor({ training_data_url: elsewhere })).training_data_url).toBe(elsewhere);
  });
});
