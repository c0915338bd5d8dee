/** Metrics as Prometheus reads them: right numbers, and nothing that should not be told. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createKey } from "../../access/keys.ts";
import { openDatabase } from "../../db/database.ts";
import { silent } from "../../testing/postgres.ts";
import { TestService } from "../../testing/service.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const endpoint = "/queue/fal-ai/ltx-video-trainer";
const metricsKey = "0123456789abcdef";
let service: TestService;

beforeAll(async () => {
  service = await TestService.start({ LTX_TRAINER_DEVICES: "", METRICS_KEY: metricsKey });
});
afterAll(() => service.end());

async function scrape(): Promise<{ text: string; type: string | null }> {
  const response = await fetch(`${service.url}/metrics`, {
    headers: { authorization: `Bearer ${metricsKey}` },
  });
  return { text: await response.text(), type: response.headers.get("content-type") };
}

test("requests are counted by state and calls by route, in text that parses", async () => {
  const secret = "https://example.com/a.zip?token=hush";
  await service.call("POST", endpoint, { body: { training_data_url: secret } });
  await service.call("POST", endpoint, { body: { rank: 7 } });
  await service.call("GET", "/nothing/like/this?key=hush");
  await expect.poll(async () => (await scrape()).text).toMatch(/^ltx_requests\{state="queued"\} 1$/m);
  const { text, type } = await scrape();
  expect(type).toContain("text/plain");
  expect(text).toMatch(/^ltx_requests\{state="failed"\} 1$/m);
  expect(text).toMatch(/^ltx_devices 0$/m);
  expect(text).toMatch(/^ltx_http_requests_total\{method="POST",route="\/queue\/\*",status="200"\} 2$/m);
  expect(text).toMatch(/^ltx_http_requests_total\{method="GET",route="none",status="404"\} 1$/m);
  expect(text).toMatch(/^ltx_webhook_oldest_pending_seconds \d/m);
  expect(text).toMatch(/^ltx_queue_oldest_wait_seconds \d/m);
  expect(text).toMatch(/^ltx_disk_free_bytes [1-9]/m);
  expect(text).toMatch(/^ltx_disk_reserve_bytes 1073741824$/m);
  expect(text).toMatch(/^process_cpu_seconds_total \d/m);
  for (const line of text.split("\n").filter((one) => one !== "")) {
    expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? ([\d.e+-]+|Na[nN]|\+Inf))$/);
  }
  const secrets = ["hush", metricsKey, "example.com", service.authorization.slice(4), service.home];
  for (const word of secrets) expect(text).not.toContain(word);
});

test("metrics are for the metrics key and for administrators", async () => {
  const statusWith = async (authorization: string) =>
    (await fetch(`${service.url}/metrics`, { headers: { authorization } })).status;
  expect((await fetch(`${service.url}/metrics`)).status).toBe(401);
  expect(await statusWith("Bearer 0123456789abcdeF")).toBe(401);
  expect(await statusWith(`Key ${metricsKey}`)).toBe(401);
  expect(await statusWith(service.authorization)).toBe(200);
  const { body } = await service.call("POST", "/rest/tokens/", {
    body: { allowed_apps: ["fal-ai/ltx-video-trainer"] },
  });
  expect(await statusWith(`Bearer ${body}`)).toBe(401);
  const db = openDatabase(service.databaseAddress, { connections: 1, log: silent });
  const { key } = await createKey(db, { name: "user", userId: "local", scope: "api" });
  await db.destroy();
  expect(await statusWith(`Key ${key}`)).toBe(403);
});

test("the overview says what waits and who works, and no more, to holders of a key", async () => {
  expect((await service.call("GET", "/overview", { headers: { authorization: "" } })).status).toBe(401);
  const { body } = await service.call("GET", "/overview");
  expect(body).toEqual({
    endpoint: "fal-ai/ltx-video-trainer",
    waiting: expect.any(Number),
    running: 0,
    devices: [],
  });
});
