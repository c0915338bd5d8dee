/** The status stream, synchronous runs and idempotency keys over HTTP. No training runs: requests end by being cancelled. */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { TestService } from "../../testing/service.ts";
import { QueueStatus } from "../../wire/queue.ts";

// Starting a service is slow on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const app = "fal-ai/ltx-video-trainer";
const input = { training_data_url: "https://example.com/a.zip" };
let service: TestService;

beforeAll(async () => {
  service = await TestService.start({ LTX_TRAINER_DEVICES: "", LEASE_SECONDS: "1" });
});
afterAll(() => service.end());
beforeEach(() => service.call("DELETE", `/rest/applications/${app}/queue`));

async function submit(headers: Record<string, string> = {}, body: unknown = input) {
  return service.call("POST", `/queue/${app}`, { body, headers });
}

async function submitted(headers?: Record<string, string>, body?: unknown): Promise<string> {
  return QueueStatus.parse((await submit(headers, body)).body).request_id;
}

const path = (id: string, part = "") => `/queue/${app}/requests/${id}${part}`;
const cancel = (id: string) => service.call("PUT", path(id, "/cancel"));
const statusOf = async (id: string) =>
  QueueStatus.parse((await service.call("GET", path(id, "/status"))).body);

async function all<Item>(source: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of source) items.push(item);
  return items;
}

async function queueSize(): Promise<number> {
  const { body } = await service.call("GET", `/rest/applications/${app}/queue`);
  return (body as { size: number }).size;
}

describe("the status stream", () => {
  async function* eventsOf(id: string, signal?: AbortSignal): AsyncGenerator<QueueStatus> {
    const response = await fetch(`${service.url}${path(id, "/status/stream?logs=1")}`, {
      headers: { authorization: service.authorization, accept: "application/json, text/event-stream" },
      ...(signal === undefined ? {} : { signal }),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    let text = "";
    for await (const piece of response.body ?? []) {
      text += Buffer.from(piece).toString();
      const events = text.split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) yield QueueStatus.parse(JSON.parse(event.replace(/^data: /, "")));
    }
  }

  test("begins with the status as it is, tells of each change, and ends after the last", async () => {
    const first = await submitted();
    const id = await submitted();
    const seen: QueueStatus[] = [];
    for await (const event of eventsOf(id)) {
      seen.push(event);
      if (seen.length === 1) await cancel(first);
      if (seen.length === 2) await cancel(id);
    }
    expect(seen).toMatchObject([
      { status: "IN_QUEUE", queue_position: expect.any(Number), logs: [] },
      { status: "IN_QUEUE", queue_position: expect.any(Number) },
      { status: "COMPLETED", error_type: "client_cancelled" },
    ]);
    const [before, after] = seen.map((status) => ("queue_position" in status ? status.queue_position : 0));
    expect(after).toBe((before ?? 0) - 1);
  });

  test("of a request that is over is one event", async () => {
    const id = await submitted({}, {});
    const seen = await all(eventsOf(id));
    expect(seen).toMatchObject([{ status: "COMPLETED", error: "Unexpected status code: 422" }]);
  });

  test("many follow one request, some leave, and the rest hear of its end", async () => {
    const id = await submitted();
    const leaving = new AbortController();
    const left = Array.from({ length: 20 }, () => all(eventsOf(id, leaving.signal)));
    const staying = Array.from({ length: 20 }, () => all(eventsOf(id)));
    await delay(300);
    leaving.abort();
    for (const one of await Promise.allSettled(left)) expect(one.status).toBe("rejected");
    await cancel(id);
    for (const events of await Promise.all(staying)) expect(events.at(-1)?.status).toBe("COMPLETED");
  });

  test("is refused like a status: unknown id, wrong key", async () => {
    const unknown = path("0190c000-0000-7000-8000-000000000000", "/status/stream");
    expect(await service.call("GET", unknown)).toMatchObject({ status: 404, body: { status: "NOT_FOUND" } });
    const headers = { authorization: "Key a:b" };
    expect((await service.call("GET", unknown, { headers })).status).toBe(401);
  });
});

describe("a synchronous run", () => {
  const run = (options: Parameters<TestService["call"]>[2] = {}, part = "") =>
    service.call("POST", `/run/${app}${part}`, options);

  test("answers with the model's error itself, not with the queue's words for it", async () => {
    const answer = await run({ body: { rank: 7 } });
    expect(answer).toMatchObject({
      status: 422,
      body: { detail: [{ loc: ["body", "training_data_url"] }, { loc: ["body", "rank"] }] },
    });
    expect(answer.headers.get("x-fal-billable-units")).toBe("0");
    const id = answer.headers.get("x-fal-request-id") ?? "";
    expect(await service.call("GET", path(id))).toMatchObject({ status: 422, body: answer.body });
  });

  test.each(["POST", "GET"])(
    "%s to a path that the trainer does not have is 404, and free",
    async (method) => {
      const answer = await service.call(
        method,
        `/run/${app}/stream`,
        method === "POST" ? { body: input } : {},
      );
      expect(answer).toMatchObject({ status: 404, body: { detail: "Path /stream not found" } });
      expect(answer.headers.get("x-fal-billable-units")).toBe("0");
    },
  );

  test("waits for the end, and is 499 when somebody cancels", async () => {
    const running = run({ body: input });
    await expect.poll(queueSize).toBe(1);
    const { body } = await service.call(
      "GET",
      `/v1/models/requests/by-endpoint?endpoint_id=${encodeURIComponent(app)}&limit=1`,
    );
    const [{ request_id: id }] = (body as { items: [{ request_id: string }] }).items;
    await cancel(id);
    expect(await running).toMatchObject({
      status: 499,
      body: { detail: "Request cancelled by the client.", error_type: "client_cancelled" },
    });
  });

  test("that does not start in the time it was given is 504, marked as the client's own wish", async () => {
    const answer = await run({ body: input, headers: { "x-fal-request-timeout": "0.5" } });
    expect(answer).toMatchObject({ status: 504, body: { error_type: "request_timeout" } });
    expect(answer.headers.get("x-fal-request-timeout-type")).toBe("user");
  });

  test("whose client goes away is cancelled", async () => {
    const gone = new AbortController();
    const running = fetch(`${service.url}/run/${app}`, {
      method: "POST",
      headers: { authorization: service.authorization },
      body: JSON.stringify(input),
      signal: gone.signal,
    });
    await expect.poll(queueSize).toBe(1);
    gone.abort();
    await expect(running).rejects.toThrow();
    await expect.poll(queueSize).toBe(0);
  });

  test("under a key goes on without its client, whose second try finds it", async () => {
    const headers = { "idempotency-key": "run-1" };
    const gone = new AbortController();
    const running = fetch(`${service.url}/run/${app}`, {
      method: "POST",
      headers: { authorization: service.authorization, ...headers },
      body: JSON.stringify(input),
      signal: gone.signal,
    });
    await expect.poll(queueSize).toBe(1);
    gone.abort();
    await expect(running).rejects.toThrow();
    const second = run({ body: input, headers });
    await delay(500);
    expect(await queueSize()).toBe(1);
    await cancel(await submitted(headers));
    expect((await second).status).toBe(499);
  });
});

describe("an idempotency key", () => {
  test("makes submissions one, also those at the same time", async () => {
    const headers = { "idempotency-key": "a b-1" };
    const ids = await Promise.all(Array.from({ length: 8 }, () => submitted(headers)));
    expect(new Set(ids).size).toBe(1);
    expect(await submitted(headers)).toBe(ids[0]);
    expect(await submitted({ "idempotency-key": "a b-2" })).not.toBe(ids[0]);
    await cancel(ids[0] ?? "");
    expect((await submit(headers)).body).toMatchObject({ status: "COMPLETED", request_id: ids[0] });
  });

  test("is refused for another body, and when it is none", async () => {
    await submit({ "idempotency-key": "b" });
    const answer = await submit({ "idempotency-key": "b" }, { ...input, rank: 8 });
    expect(answer).toMatchObject({ status: 422, body: { detail: expect.stringContaining("another body") } });
    expect((await submit({ "idempotency-key": "x".repeat(256) })).status).toBe(400);
  });
});

test("a start that comes too late is 504 at the result, and the status says why", async () => {
  const id = await submitted({ "x-fal-request-timeout": "0.2" });
  await expect.poll(async () => (await statusOf(id)).status, { timeout: 120_000 }).toBe("COMPLETED");
  expect(await statusOf(id)).toMatchObject({ error_type: "request_timeout" });
  const result = await service.call("GET", path(id));
  expect(result.status).toBe(504);
  expect(result.headers.get("x-fal-request-timeout-type")).toBe("user");
});
