/**
 * Failures of the server's side: whatever is away or broken for a while, every request has its right end, and a LoRA that is
 * trained is delivered.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TrainingOutput } from "@ltx-trainer/contract";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { startBucket, type TestBucket } from "../testing/bucket.ts";
import { TestService } from "../testing/service.ts";
import { QueueStatus } from "../wire/queue.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const endpoint = "/queue/fal-ai/ltx-video-trainer";
const folder = mkdtempSync(join(tmpdir(), "ltx-recovery-"));
const trainer = fileURLToPath(new URL("../../../trainer/dist/main.js", import.meta.url));
/** While this file is there, trainers cannot start. */
const brokenMark = join(folder, "broken");
/** While this file is there, trainers are killed once their LoRA is written. */
const fatalMark = join(folder, "fatal");
/** The real trainer, with faults. */
const faultyTrainer = `
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
if (fs.existsSync(${JSON.stringify(brokenMark)})) throw new Error("libtorch.so: cannot open shared object file");
const { writeSync } = fs;
fs.writeSync = (fd, bytes, ...rest) => {
  const line = String(bytes);
  if (line.includes('"type":"finished"') && fs.existsSync(${JSON.stringify(fatalMark)})) {
    writeSync(fd, line.replace('"finished"', '"trained"'));
    process.kill(process.pid, "SIGKILL");
  }
  return writeSync(fd, bytes, ...rest);
};
syncBuiltinESMExports();
await import(${JSON.stringify(trainer)});
`;
let bucket: TestBucket;
let service: TestService;

beforeAll(async () => {
  const program = join(folder, "trainer.mjs");
  writeFileSync(program, faultyTrainer);
  process.env.LTX_TRAINER_PROGRAM = program;
  bucket = await startBucket("media", folder);
  service = await TestService.start({
    S3_BUCKET: bucket.name,
    S3_ENDPOINT: bucket.endpoint,
    RETRY_SECONDS: "0.2",
    CHECKPOINT_INTERVAL: "20",
  });
});
afterAll(async () => {
  await service?.end();
  await bucket?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function openBucket(): Promise<void> {
  bucket = await startBucket("media", folder, Number(new URL(bucket.endpoint).port));
}

async function submit(input: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const { body } = await service.call("POST", endpoint, { body: { ...service.input, ...input } });
  return QueueStatus.parse(body).request_id;
}

async function until(id: string, isWanted: (said: string, status: string) => boolean): Promise<string> {
  for (;;) {
    const { body } = await service.call("GET", `${endpoint}/requests/${id}/status?logs=1`);
    const { logs, status } = QueueStatus.parse(body);
    const said = (logs ?? []).map(({ message }) => message).join("\n");
    if (isWanted(said, status)) return said;
    expect(status, said).not.toBe("COMPLETED");
    await delay(50);
  }
}

const isOver = (_said: string, status: string) => status === "COMPLETED";
const hasTrained = (said: string) => /^Step [1-9]/m.test(said);
const waitsToPublish = (said: string) => /Publishing again in \d+ s/.test(said);

const resultOf = (id: string) => service.call("GET", `${endpoint}/requests/${id}`);

async function outputOf(id: string): Promise<TrainingOutput> {
  const { status, body } = await resultOf(id);
  expect(status, JSON.stringify(body)).toBe(200);
  return TrainingOutput.parse(body);
}

async function readiness(): Promise<{ status: number; body: unknown }> {
  const { status, body } = await service.call("GET", "/readyz");
  return { status, body };
}

const filesInBucket = () => readdirSync(join(folder, "media", "files"), { recursive: true }).map(String);

test("a bucket that is away when the training ends: it is published when the bucket is back", async () => {
  const id = await submit();
  await until(id, hasTrained);
  await bucket.close();
  await until(id, (said, status) => status === "IN_PROGRESS" && waitsToPublish(said));
  expect(await readiness()).toEqual({ status: 503, body: { status: "file store unavailable" } });
  await openBucket();
  const said = await until(id, isOver);
  expect(said).toMatch(/The LoRA is trained, but could not be stored/);
  const output = await outputOf(id);
  expect(output.video?.file_size).toBeGreaterThan(0);
  expect(output.lora_file_comfyui?.file_name).toMatch(/comfyui/);
  const { pathname } = new URL(output.lora_file.url);
  const bytes = await (await fetch(service.url + pathname)).arrayBuffer();
  expect(bytes.byteLength).toBe(output.lora_file.file_size);
});

test("a server that stops while it waits to publish: the next one publishes, and does not train again", async () => {
  const id = await submit();
  await until(id, hasTrained);
  await bucket.close();
  await until(id, waitsToPublish);
  await service.pause();
  await openBucket();
  await service.resume();
  const said = await until(id, isOver);
  expect(said).not.toMatch(/resumed/);
  expect((await outputOf(id)).lora_file.file_size).toBeGreaterThan(0);
});

test("cancelling what waits to be published cancels it, and leaves no files", async () => {
  const id = await submit();
  await until(id, hasTrained);
  const before = filesInBucket().length;
  await bucket.close();
  await until(id, waitsToPublish);
  expect((await service.call("PUT", `${endpoint}/requests/${id}/cancel`)).status).toBe(202);
  await until(id, isOver);
  expect((await resultOf(id)).status).toBe(499);
  await openBucket();
  expect(filesInBucket()).toHaveLength(before);
});

test("trained files that are removed while they wait are trained again", async () => {
  const id = await submit();
  await until(id, hasTrained);
  await bucket.close();
  await until(id, waitsToPublish);
  rmSync(join(service.home, "requests", id), { recursive: true });
  await until(id, (said) => /The trained files are gone. Training again/.test(said));
  await openBucket();
  await until(id, isOver);
  expect((await outputOf(id)).lora_file.file_size).toBeGreaterThan(0);
});

test("data in a bucket that is away is read when the bucket is back", async () => {
  const bytes = Buffer.from(String(service.input.training_data_url).split(",")[1] ?? "", "base64");
  const uploaded = await fetch(`${service.url}/files/upload`, {
    method: "POST",
    headers: {
      authorization: service.authorization,
      "content-type": "video/mp4",
      "x-fal-file-name": "clip.mp4",
    },
    body: bytes,
  });
  const { access_url: url } = (await uploaded.json()) as { access_url: string };
  await bucket.close();
  const id = await submit({ training_data_url: url });
  await until(id, (said) => /The server could not go on/.test(said));
  await openBucket();
  await until(id, isOver);
  expect((await outputOf(id)).lora_file.file_size).toBeGreaterThan(0);
});

test("a trainer that cannot start: no request fails, the device takes none, and all are trained once it can", async () => {
  writeFileSync(brokenMark, "");
  const ids = [await submit(), await submit()];
  await expect.poll(readiness, { timeout: 200_000 }).toEqual({
    status: 503,
    body: { status: "no device works", devices: ["cpu: trainer failed (trainer_died)"] },
  });
  expect(
    await (
      await fetch(`${service.url}/metrics`, { headers: { authorization: service.authorization } })
    ).text(),
  ).toMatch(/^ltx_devices_broken 1$/m);
  const states = await Promise.all(
    ids.map(
      async (id) =>
        QueueStatus.parse((await service.call("GET", `${endpoint}/requests/${id}/status`)).body).status,
    ),
  );
  expect(states).toEqual(["IN_QUEUE", "IN_QUEUE"]);
  rmSync(brokenMark);
  const said = await Promise.all(ids.map((id) => until(id, isOver)));
  expect(said[0]).toMatch(/The server could not go on \(trainer_died\). Trying again/);
  expect(said.join("\n")).not.toMatch(/libtorch\.so|Error:/);
  for (const id of ids) expect((await outputOf(id)).lora_file.file_size).toBeGreaterThan(0);
  expect((await readiness()).status).toBe(200);
});

test("a trainer that is killed after its LoRA is written has succeeded, and the answer says why there is no video", async () => {
  writeFileSync(fatalMark, "");
  const id = await submit();
  await until(id, isOver);
  rmSync(fatalMark);
  const output = await outputOf(id);
  expect(output.video).toBeNull();
  expect(output.video_error).toBe("The video could not be made (trainer_died).");
  expect(output.lora_file.file_size).toBeGreaterThan(0);
});
