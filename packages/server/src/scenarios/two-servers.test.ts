/** Two servers that share a database and a bucket: one answers clients, the other trains. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { TrainingOutput } from "@ltx-trainer/contract";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { startBucket, type TestBucket } from "../testing/bucket.ts";
import { TestService } from "../testing/service.ts";
import { QueueStatus } from "../wire/queue.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const queue = "/queue/fal-ai/ltx-video-trainer";
const folder = mkdtempSync(join(tmpdir(), "ltx-shared-"));
let bucket: TestBucket;
let front: TestService;
let worker: TestService;

beforeAll(async () => {
  bucket = await startBucket("shared", folder);
  const shared = { S3_BUCKET: bucket.name, S3_ENDPOINT: bucket.endpoint };
  front = await TestService.start({ ...shared, LTX_TRAINER_DEVICES: "" });
  const { host, user, database } = front.databaseAddress;
  const databaseUrl = `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`;
  worker = await TestService.start({ ...shared, DATABASE_URL: databaseUrl });
});
afterAll(async () => {
  await worker?.end();
  await front?.end();
  await bucket?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function status(id: string) {
  return QueueStatus.parse((await front.call("GET", `${queue}/requests/${id}/status?logs=1`)).body);
}

async function submit(input: unknown): Promise<string> {
  return QueueStatus.parse((await front.call("POST", queue, { body: input })).body).request_id;
}

test("what is asked of the one is trained by the other, with its log and its files to be read at both", async () => {
  const id = await submit(front.input);
  while ((await status(id)).status !== "COMPLETED") await delay(100);
  const said = ((await status(id)).logs ?? []).map(({ message }) => message).join("\n");
  expect(said).toMatch(/Step 100\/100/);
  const { lora_file: lora } = TrainingOutput.parse((await front.call("GET", `${queue}/requests/${id}`)).body);
  const { pathname, search } = new URL(lora.url);
  const read = async (server: TestService): Promise<Buffer> =>
    Buffer.from(await (await fetch(server.url + pathname + search)).arrayBuffer());
  const bytes = await read(front);
  expect(bytes).toHaveLength(lora.file_size ?? -1);
  expect(await read(worker)).toEqual(bytes);
});

test("a training is cancelled from the server that does not train it", async () => {
  const id = await submit({ ...front.input, number_of_steps: 20_000 });
  while ((await status(id)).status !== "IN_PROGRESS") await delay(50);
  const answer = await front.call("PUT", `${queue}/requests/${id}/cancel`);
  expect(answer.status).toBe(202);
  while ((await status(id)).status !== "COMPLETED") await delay(50);
  expect((await front.call("GET", `${queue}/requests/${id}`)).status).toBe(499);
});
