/**
 * Every call of fal's own JavaScript client, unmodified, against the real service: the real trainer on ltx-nano, few
 * steps. Uploads are in `js-uploads.test.ts`.
 */
import { setTimeout as delay } from "node:timers/promises";
import { ApiError, createFalClient, type FalClient, type QueueStatus, ValidationError } from "@fal-ai/client";
import { TrainingOutput } from "@ltx-trainer/contract";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TestService } from "../../packages/server/src/testing/service.ts";
import { smallExample } from "../../packages/server/src/testing/small-example.ts";

// Each training runs the whole trainer on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const app: string = "fal-ai/ltx-video-trainer";
const unknownId = "764cabcf-b745-4b3e-ae38-1200304cf45b";
let service: TestService;
let fal: FalClient;

/** The smallest training that the API allows, of two clips of the bundled example. */
const input = {
  training_data_url: `data:application/zip;base64,${Buffer.from(await smallExample()).toString("base64")}`,
  rank: "8",
  number_of_steps: 100,
  number_of_frames: 25,
  resolution: "low",
  trigger_phrase: "GLOWPULSE",
  validation_resolution: "low",
  validation_number_of_frames: 9,
};

/** For what must still be at work when it is cancelled, on a machine of any speed. */
const longInput = { ...input, number_of_steps: 2000 };

type ClientOptions = NonNullable<Parameters<typeof createFalClient>[0]>;

function client(options: ClientOptions = {}): FalClient {
  return createFalClient({
    credentials: service.authorization.replace("Key ", ""),
    proxyUrl: { url: `${service.url}/api/fal/proxy`, when: "always" },
    ...options,
  });
}

async function failure(call: Promise<unknown>): Promise<ApiError<unknown>> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError<unknown>;
}

beforeAll(async () => {
  service = await TestService.start({ LTX_TRAINER_BASE: "ltx-nano" });
  fal = client();
});
afterAll(() => service.end());

const messages = (status: QueueStatus | undefined) =>
  status !== undefined && "logs" in status ? status.logs.map(({ message }) => message) : [];

describe("a training", () => {
  test("subscribe, by polling: enqueued, updates with the whole log, files and the request's id", async () => {
    const updates: QueueStatus[] = [];
    let enqueued = "";
    const { data, requestId } = await fal.subscribe(app, {
      input: { ...input, validation: [{ prompt: "GLOWPULSE, a red square moves right" }] },
      logs: true,
      pollInterval: 100,
      onEnqueue: (id) => {
        enqueued = id;
      },
      onQueueUpdate: (update) => updates.push(update),
    });
    expect(requestId).toBe(enqueued);
    const output = TrainingOutput.parse(data);
    expect(output.video?.file_size).toBeGreaterThan(1000);
    expect(output.lora_file.file_size).toBeGreaterThan(100_000);
    expect(new Set(updates.map(({ status }) => status))).toContain("IN_PROGRESS");
    expect(messages(updates.at(-1)).join("\n")).toMatch(/Step 100\/100/);
    const lengths = updates.map((update) => messages(update).length);
    expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
  });

  test("subscribe, by streaming: every line of the log once, in order, as polling shows them", async () => {
    const updates: QueueStatus[] = [];
    const { data, requestId } = await fal.subscribe(app, {
      input,
      mode: "streaming",
      logs: true,
      onQueueUpdate: (update) => updates.push(update),
    });
    TrainingOutput.parse(data);
    const polled = await fal.queue.status(app, { requestId, logs: true });
    expect(polled).toMatchObject({ status: "COMPLETED", metrics: { inference_time: expect.any(Number) } });
    expect(messages(updates.at(-1))).toEqual(messages(polled));
    expect(messages(polled).length).toBeGreaterThan(5);
    expect(updates.length).toBeGreaterThan(3);
  });

  test("run: one call, the same result", async () => {
    const { data, requestId } = await fal.run(app, { input });
    const output = TrainingOutput.parse(data);
    expect((await fal.queue.result(app, { requestId })).data).toEqual(output);
  });

  test("cancelled while it trains: the status says so, and the result is 499", async () => {
    const { request_id: requestId } = await fal.queue.submit(app, { input: longInput });
    const stream = await fal.queue.streamStatus(app, { requestId, logs: true });
    for await (const update of stream) {
      if (messages(update).some((line) => /^Step [1-9]/.test(line))) {
        await fal.queue.cancel(app, { requestId });
      }
    }
    expect(await stream.done()).toMatchObject({ status: "COMPLETED", error_type: "client_cancelled" });
    const error = await failure(fal.queue.result(app, { requestId }));
    expect(error).toMatchObject({ status: 499, requestId });
    expect(await failure(fal.queue.cancel(app, { requestId }))).toMatchObject({ status: 400 });
  });

  test("subscribe with a timeout cancels what it waited for", async () => {
    let requestId = "";
    const waiting = fal.subscribe(app, {
      input: longInput,
      timeout: 1500,
      onEnqueue: (id) => {
        requestId = id;
      },
    });
    await expect(waiting).rejects.toThrow(/timed out waiting/);
    const status = await fal.queue.subscribeToStatus(app, { requestId });
    expect(status).toMatchObject({ status: "COMPLETED", error_type: "client_cancelled" });
  });
});

describe("errors", () => {
  test("an input that cannot be is a ValidationError with its fields, from subscribe and run", async () => {
    for (const call of [
      () => fal.subscribe(app, { input: { rank: 7 } }),
      () => fal.subscribe(app, { input: { rank: 7 }, mode: "streaming" }),
      () => fal.run(app, { input: { rank: 7 } }),
    ]) {
      const error = await failure(call());
      expect(error).toBeInstanceOf(ValidationError);
      const validation = error as ValidationError;
      expect(validation.fieldErrors).toHaveLength(2);
      expect(validation.getFieldErrors("rank")).toMatchObject([{ type: "literal_error" }]);
      expect(validation.getFieldErrors("training_data_url")).toMatchObject([{ type: "missing" }]);
      expect(error.requestId).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  test("a wrong key, an unknown request, an unknown application, a path the trainer lacks", async () => {
    const stranger = client({ credentials: "a:b" });
    expect(await failure(stranger.queue.submit(app, { input }))).toMatchObject({
      status: 401,
      body: { detail: "invalid key credentials" },
    });
    for (const call of [
      () => fal.queue.status(app, { requestId: unknownId }),
      () => fal.queue.result(app, { requestId: unknownId }),
      () => fal.queue.cancel(app, { requestId: unknownId }),
    ]) {
      expect(await failure(call())).toMatchObject({ status: 404, body: { status: "NOT_FOUND" } });
    }
    const other: string = "fal-ai/flux";
    expect(await failure(fal.queue.submit(other, { input }))).toMatchObject({
      status: 404,
      body: { detail: 'Application "fal-ai/flux" not found' },
    });
    const stream = await fal.stream(app, { input });
    expect(await failure(stream.done())).toMatchObject({
      status: 404,
      body: { detail: "Path /stream not found" },
    });
  });

  test("a result that is not there yet, and what comes too late to cancel", async () => {
    const { request_id: requestId } = await fal.queue.submit(app, { input: longInput });
    expect(await failure(fal.queue.result(app, { requestId }))).toMatchObject({ status: 400 });
    await fal.queue.cancel(app, { requestId });
    const status = await fal.queue.subscribeToStatus(app, { requestId, mode: "streaming", logs: true });
    expect(status.status).toBe("COMPLETED");
    expect(await failure(fal.queue.cancel(app, { requestId }))).toMatchObject({ status: 400 });
  });

  test("a start that comes too late is the client's own timeout, and is not tried again", async () => {
    // Something else holds the only device meanwhile.
    const { request_id: before } = await fal.queue.submit(app, { input: longInput });
    const error = await failure(fal.subscribe(app, { input, startTimeout: 1.5 }));
    expect(error).toMatchObject({ status: 504, isUserTimeout: true });
    await fal.queue.cancel(app, { requestId: before });
  });
});

describe("tries of the client", () => {
  test("that sent an idempotency key make one request", async () => {
    const answers: number[] = [];
    // The first answer is lost on its way: the client sees a broken connection, and tries again.
    const lossy = client({
      fetch: async (...call: Parameters<typeof fetch>) => {
        const response = await fetch(...call);
        answers.push(response.status);
        if (answers.length === 1) throw new TypeError("fetch failed");
        return response;
      },
    });
    const headers = { "Idempotency-Key": `try-${Date.now()}` };
    const { request_id: requestId } = await lossy.queue.submit(app, {
      input: longInput,
      headers,
      priority: "low",
    });
    expect(answers).toEqual([200, 200]);
    expect(await fal.queue.submit(app, { input: longInput, headers })).toMatchObject({
      request_id: requestId,
    });
    await fal.queue.cancel(app, { requestId });
  });

  test("an aborted run leaves nothing behind", async () => {
    const gone = new AbortController();
    const running = fal.run(app, { input: longInput, abortSignal: gone.signal });
    const newest = async () =>
      (
        (await service.call("GET", `/v1/models/requests/by-endpoint?endpoint_id=${app}&limit=1`)).body as {
          items: [{ request_id: string; status_code: number | null }];
        }
      ).items[0];
    await expect.poll(async () => (await newest()).status_code, { timeout: 120_000 }).toBeNull();
    const { request_id: requestId } = await newest();
    gone.abort();
    await expect(running).rejects.toThrow();
    for (;;) {
      const status = await fal.queue.status(app, { requestId });
      if (status.status === "COMPLETED") break;
      await delay(100);
    }
    expect(await failure(fal.queue.result(app, { requestId }))).toMatchObject({ status: 499 });
  });
});
