/** Metrics as Prometheus reads them: right numbers, and nothing that should not be told. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { TestService } from "../testing/service.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const endpoint = "/queue/fal-ai/ltx-video-trainer";
let service: TestService;

beforeAll(async () => {
  service = await TestService.start({ LTX_TRAINER_DEVICES: "" });
});
afterAll(() => service.end());

async function scrape(): Promise<{ text: string; type: string | null }> {
  const response = await fetch(`${service.url}/metrics`);
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
  expect(text).toMatch(/^process_cpu_seconds_total \d/m);
  for (const line of text.split("\n").filter((one) => one !== "")) {
    expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? ([\d.e+-]+|Na[nN]|\+Inf))$/);
  }
  const secrets = ["hush", "example.com", service.authorization.slice(4), service.home];
  for (const word of secrets) expect(text).not.toContain(word);
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
