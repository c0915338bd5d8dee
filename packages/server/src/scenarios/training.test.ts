/** Trainings through HTTP: the real trainer, from submission to files, and every way in which one can be cut short. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { TrainingOutput } from "@ltx-trainer/contract";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { processesWith } from "../testing/processes.ts";
import { TestService } from "../testing/service.ts";
import { QueueStatus } from "../wire/queue.ts";

// Each runs the whole trainer, some of them twice, on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const endpoint = "/queue/fal-ai/ltx-video-trainer";
let service: TestService;

beforeAll(async () => {
  service = await TestService.start({ CHECKPOINT_INTERVAL: "20" });
});
afterAll(() => service.end());

async function submit(input: Readonly<Record<string, unknown>> = service.input): Promise<string> {
  const { status, body } = await service.call("POST", endpoint, { body: input });
  expect(status).toBe(200);
  return QueueStatus.parse(body).request_id;
}

async function statusOf(id: string): Promise<QueueStatus> {
  return QueueStatus.parse((await service.call("GET", `${endpoint}/requests/${id}/status?logs=1`)).body);
}

const saidSoFar = (status: QueueStatus) => (status.logs ?? []).map(({ message }) => message).join("\n");

/** Polls until the status is as wanted. */
async function until(id: string, isWanted: (status: QueueStatus) => boolean): Promise<QueueStatus> {
  for (;;) {
    const status = await statusOf(id);
    if (isWanted(status)) return status;
    expect(status.status, saidSoFar(status)).not.toBe("COMPLETED");
    await delay(100);
  }
}

const isOver = ({ status }: QueueStatus) => status === "COMPLETED";
const hasTrained = (status: QueueStatus) => /^Step [1-9]/m.test(saidSoFar(status));

const resultOf = (id: string) => service.call("GET", `${endpoint}/requests/${id}`);

/** The trainer processes at work on a request. */
const trainersOf = (id: string) => processesWith(`requests/${id}/job.json`);

/** The LoRA as it lies in the store, by its size and hash. */
function hashOfLora(output: TrainingOutput): string {
  const files = join(service.home, "files");
  const paths = readdirSync(files).flatMap((part) =>
    readdirSync(join(files, part)).map((name) => join(files, part, name)),
  );
  const written = paths
    .map((path) => readFileSync(path))
    .filter(({ length }) => length === output.lora_file.file_size);
  return written.map((bytes) => createHash("sha256").update(bytes).digest("hex")).join();
}

let undisturbed = "";

test("a training goes from the queue through its logs to three files", async () => {
  const id = await submit();
  const running = await until(id, hasTrained);
  expect(running.status).toBe("IN_PROGRESS");
  const over = await until(id, isOver);
  expect(over).toMatchObject({ request_id: id, metrics: { inference_time: expect.any(Number) } });
  expect(over).not.toHaveProperty("error");
  expect(saidSoFar(over)).toMatch(/Step 100\/100, loss \d/);
  const { status, headers, body } = await resultOf(id);
  expect(status).toBe(200);
  expect(headers.get("x-fal-request-id")).toBe(id);
  expect(headers.get("x-fal-billable-units")).toBe("100");
  const output = TrainingOutput.parse(body);
  expect(output.lora_file).toMatchObject({
    url: expect.stringMatching(
      new RegExp(`^${service.url}/files/b/[0-9a-f]{8}/[0-9a-f]{32}_lora\\.safetensors$`),
    ),
    content_type: "application/octet-stream",
    file_name: expect.stringMatching(/_lora\.safetensors$/),
    file_size: expect.any(Number),
  });
  expect(output.video?.content_type).toBe("video/mp4");
  expect(output.config_file.content_type).toBe("application/json");
  undisturbed = hashOfLora(output);
  expect(undisturbed).toMatch(/^[0-9a-f]{64}$/);
});

test("cancelling ends the trainer within seconds, and the result is 499", async () => {
  const id = await submit();
  await until(id, hasTrained);
  expect(trainersOf(id)).toHaveLength(1);
  const cancelled = await service.call("PUT", `${endpoint}/requests/${id}/cancel`);
  expect(cancelled).toMatchObject({ status: 202, body: { status: "CANCELLATION_REQUESTED" } });
  const over = await until(id, isOver);
  expect(over).toMatchObject({ error_type: "client_cancelled" });
  expect(trainersOf(id)).toEqual([]);
  expect(await resultOf(id)).toMatchObject({
    status: 499,
    body: { detail: "Request cancelled by the client.", error_type: "client_cancelled" },
  });
  const again = await service.call("PUT", `${endpoint}/requests/${id}/cancel`);
  expect(again).toMatchObject({ status: 400, body: { status: "ALREADY_COMPLETED" } });
});

test("a trainer that is killed goes on from its checkpoint, to the same bits", async () => {
  const id = await submit();
  await until(id, (status) => /Checkpoint written after step 20/.test(saidSoFar(status)));
  for (const pid of trainersOf(id)) process.kill(pid, "SIGKILL");
  const over = await until(id, isOver);
  expect(saidSoFar(over)).toMatch(/resumed after step [2-8]0/);
  const output = TrainingOutput.parse((await resultOf(id)).body);
  // Both LoRAs have one size, so that both are found: equal bits give the same hash twice.
  expect(new Set(hashOfLora(output).split(","))).toEqual(new Set([undisturbed]));
});

test("a server that is stopped gives its training back, and the next one finishes it to the same bits, past a damaged checkpoint", async () => {
  const id = await submit();
  await until(id, hasTrained);
  await service.pause();
  expect(trainersOf(id)).toEqual([]);
  const damaged = join(service.home, "requests", id, "output/checkpoints/step-999999");
  mkdirSync(damaged);
  writeFileSync(join(damaged, "state.json"), "");
  await service.resume();
  const over = await until(id, isOver);
  expect(saidSoFar(over)).toContain("checkpoints/step-999999 is damaged");
  expect(saidSoFar(over)).toMatch(/resumed after step \d/);
  const output = TrainingOutput.parse((await resultOf(id)).body);
  expect(new Set(hashOfLora(output).split(","))).toEqual(new Set([undisturbed]));
});

test("data that is no dataset is a model error at the result, in the documented words", async () => {
  const id = await submit({ ...service.input, training_data_url: "data:text/plain,no%20zip" });
  const over = await until(id, isOver);
  expect(over).toMatchObject({ error: "Unexpected status code: 422" });
  const { status, headers, body } = await resultOf(id);
  expect(status).toBe(422);
  expect(headers.get("x-fal-billable-units")).toBe("0");
  expect(body).toMatchObject({
    detail: [
      {
        loc: ["body", "training_data_url"],
        type: "invalid_archive",
        ctx: { supported_extensions: [".zip"] },
        url: "https://docs.fal.ai/errors/#invalid_archive",
        input: "data:text/plain,no%20zip",
      },
    ],
  });
});
