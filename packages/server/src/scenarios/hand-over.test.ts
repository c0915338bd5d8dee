/**
 * What a request becomes, for everything that a trainer can say and for every way in which it can end: the answer, its files,
 * its log and its webhook. The trainer is a script; everything else is real.
 */
import { fileURLToPath } from "node:url";
import { TrainingOutput } from "@ltx-trainer/contract";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ltxVideoTrainer } from "../endpoints/ltx-video-trainer.ts";
import { silent } from "../testing/postgres.ts";
import { Receiver } from "../testing/receiver.ts";
import { TestService } from "../testing/service.ts";
import { QueueStatus } from "../wire/queue.ts";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const program = fileURLToPath(new URL("../testing/scripted-trainer.mjs", import.meta.url));
const scripted = { ...ltxVideoTrainer("test/scripted"), program };
const queue = `/queue/${scripted.name}`;
let service: TestService;
let receiver: Receiver;

beforeAll(async () => {
  receiver = await Receiver.start();
  const settings = { WEBHOOK_PRIVATE_TARGETS: "true", RETRY_SECONDS: "0.05" };
  service = await TestService.start(settings, silent, [scripted]);
});
afterAll(async () => {
  await service.end();
  await receiver.stop();
});

type Webhook = { readonly request_id?: string };
const webhooks = () => receiver.received.map(({ body }) => JSON.parse(body) as Webhook);

type Outcome = { readonly status: number; readonly body: unknown; readonly log: string };

/** Submits a script and waits for its end. */
async function outcomeOf(script: string): Promise<Outcome> {
  const input = { ...service.input, trigger_phrase: script };
  const submitted = await service.call(
    "POST",
    `${queue}?fal_webhook=${encodeURIComponent(`http://127.0.0.1:${receiver.port}/`)}`,
    {
      body: input,
    },
  );
  const { request_id: id } = QueueStatus.parse(submitted.body);
  const path = `${queue}/requests/${id}`;
  const statusOf = async () => (await service.call("GET", `${path}/status?logs=1`)).body;
  await expect.poll(statusOf).toMatchObject({ status: "COMPLETED" });
  const { logs } = QueueStatus.parse(await statusOf());
  const { status, body } = await service.call("GET", path);
  // The webhook says the same as the answer.
  await expect
    .poll(() => webhooks().find((received) => received.request_id === id), { timeout: 60_000 })
    .toMatchObject({ status: status === 200 ? "OK" : "ERROR", payload: body });
  return { status, body, log: (logs ?? []).map(({ message }) => message).join("\n") };
}

const contentOf = async (url: string) => (await fetch(url)).text();

describe("the request succeeds when its trainer", () => {
  test.each(["finishes well", "prints other things as well"])("%s: with its video", async (script) => {
    const { status, body, log } = await outcomeOf(script);
    expect(status, log).toBe(200);
    const output = TrainingOutput.parse(body);
    expect(await contentOf(output.lora_file.url)).toBe(script);
    expect(await contentOf(output.video?.url ?? "")).toBe("video");
    expect(output.video_error).toBeUndefined();
    expect(log).not.toMatch(/hello|a warning/);
  });

  test.each([
    ["ends after the LoRA", /video could not be made/],
    ["is killed after the LoRA", /video could not be made/],
    ["fails after the LoRA", /Out of memory while the video was made/],
  ])("%s: without a video, and says why", async (script, reason) => {
    const { status, body, log } = await outcomeOf(script);
    expect(status, log).toBe(200);
    const output = TrainingOutput.parse(body);
    expect(await contentOf(output.lora_file.url)).toBe(script);
    expect(output.video).toBeNull();
    expect(output.video_error).toMatch(reason);
  });

  test.each([
    ["fails by a bug once", /Trying again/],
    ["says nothing once", /Trying again/],
    ["names a file that is not its own once", /Trying again/],
    ["is killed once after a step", /./],
  ])("%s: at the second attempt", async (script, words) => {
    const { status, body, log } = await outcomeOf(script);
    expect(status, log).toBe(200);
    expect(await contentOf(TrainingOutput.parse(body).lora_file.url)).toBe(script);
    expect(log).toMatch(words);
    expect(log).not.toContain("/etc/hostname");
  });
});

describe("the request fails when its trainer", () => {
  test.each([
    ["fails for its data", 422, { loc: ["body", "training_data_url"], type: "invalid_archive" }],
    ["fails for its learning rate", 422, { loc: ["body", "learning_rate"], type: "value_error" }],
  ])("%s: at once, with the field", async (script, code, detail) => {
    const { status, body } = await outcomeOf(script);
    expect(status).toBe(code);
    expect(body).toMatchObject({ detail: [detail] });
    expect(JSON.stringify(body)).not.toContain("scripted");
  });

  test("is killed after a step, always: at the second loss", async () => {
    const { status, body } = await outcomeOf("is killed after a step, always");
    expect(status).toBe(500);
    expect(body).toMatchObject({ error_type: "runner_disconnected" });
  });
});
