/** Files around a real training: uploaded data in, results out under the lifecycle that was asked for, nothing fetched from inside. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type OutputFile, TrainingOutput } from "@ltx-trainer/contract";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { FileClient } from "../testing/file-client.ts";
import { TestService } from "../testing/service.ts";
import { QueueStatus } from "../wire/queue.ts";

// Each runs the whole trainer, on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const endpoint = "/queue/fal-ai/ltx-video-trainer";
let service: TestService;
let client: FileClient;

beforeAll(async () => {
  service = await TestService.start({ DISK_RESERVE_BYTES: "0" });
  client = new FileClient(service);
});
afterAll(() => service.end());

type Over = { readonly status: number; readonly body: unknown; readonly logs: string };

async function resultOf(input: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Over> {
  const submitted = await service.call("POST", endpoint, { body: input, headers });
  const path = `${endpoint}/requests/${QueueStatus.parse(submitted.body).request_id}`;
  for (;;) {
    const { status, body } = await service.call("GET", `${path}/status?logs=1`);
    const logs = (QueueStatus.parse(body).logs ?? []).map(({ message }) => message).join("\n");
    if (status === 200) return { ...(await service.call("GET", path)), logs };
    await delay(200);
  }
}

/** The clip of the usual input, as bytes. */
function clip(): Buffer {
  return Buffer.from(String(service.input.training_data_url).split(",")[1] ?? "", "base64");
}

/** A grey picture; every decoder takes this. */
const picture = `P5 64 64 255\n${"x".repeat(64 * 64)}`;

test("uploaded data train; private results come by signed addresses; the configuration tells nothing of where", async () => {
  const secretly = { "x-fal-object-lifecycle-preference": '{"initial_acl":{"default":"forbid"}}' };
  const data = await client.upload(clip(), { "x-fal-file-name": "clip.mp4", ...secretly });
  const { status, body, logs } = await resultOf(
    { ...service.input, training_data_url: data },
    {
      "x-fal-object-lifecycle-preference":
        '{"expiration_duration_seconds":3600,"initial_acl":{"default":"forbid"}}',
    },
  );
  expect(status, `${JSON.stringify(body)}\n${logs}`).toBe(200);
  const output = TrainingOutput.parse(body);
  for (const file of [output.video, output.lora_file, output.config_file] as OutputFile[]) {
    const { url, content_type, file_size } = file;
    expect(url).toMatch(/\?expires=\d+&signature=[0-9a-f]{64}$/);
    const whole = await fetch(url);
    expect(whole.status).toBe(200);
    expect(whole.headers.get("content-type")).toBe(content_type);
    const bytes = Buffer.from(await whole.arrayBuffer());
    expect(bytes.length).toBe(file_size);
    const part = await fetch(url, { headers: { range: "bytes=10-19" } });
    expect(part.status).toBe(206);
    expect(Buffer.from(await part.arrayBuffer())).toEqual(bytes.subarray(10, 20));
    expect((await fetch(url.replace(/\?.*/, ""))).status).toBe(403);
  }
  const text = await (await fetch(output.config_file.url)).text();
  expect(JSON.parse(text).input.training_data_url).toBe(data);
  for (const secret of [service.home, "data:", "signature=", "/tmp/"]) {
    expect(text).not.toContain(secret);
    expect(logs).not.toContain(secret);
  }
});

test("neither data nor validation images are fetched from this machine", async () => {
  let visits = 0;
  const inside = createServer((_request, response) => {
    visits++;
    response.end(picture);
  });
  await new Promise<void>((done) => inside.listen(0, "127.0.0.1", done));
  const { port } = inside.address() as AddressInfo;
  try {
    for (const host of ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "169.254.169.254", "2130706433"]) {
      const url = `http://${host}:${port}/a.zip?secret=1`;
      const { status, body, logs } = await resultOf({ ...service.input, training_data_url: url });
      expect(status, host).toBe(422);
      expect(body).toMatchObject({
        detail: [{ loc: ["body", "training_data_url"], type: "file_download_error", input: url }],
      });
      expect(logs).toMatch(/leads into a private network/);
      expect(logs).not.toContain("secret");
    }
    const image = `http://localhost:${port}/a.png`;
    const { status, body } = await resultOf({
      ...service.input,
      validation: [{ prompt: "a", image_url: image }],
    });
    expect(status).toBe(422);
    expect(body).toMatchObject({ detail: [{ loc: ["body", "validation"], type: "file_download_error" }] });
    expect(visits).toBe(0);
  } finally {
    inside.close();
  }
});

test("a private network may be allowed", async () => {
  const near = createServer((_request, response) => response.end("no zip"));
  await new Promise<void>((done) => near.listen(0, "127.0.0.1", done));
  const { port } = near.address() as AddressInfo;
  const open = await TestService.start({ DOWNLOAD_ADDRESSES: "any", DISK_RESERVE_BYTES: "0" });
  try {
    const submitted = await open.call("POST", endpoint, {
      body: { ...open.input, training_data_url: `http://127.0.0.1:${port}/a.zip` },
    });
    const path = `${endpoint}/requests/${QueueStatus.parse(submitted.body).request_id}`;
    await expect.poll(async () => (await open.call("GET", path)).status, { timeout: 120_000 }).toBe(422);
    expect((await open.call("GET", path)).body).toMatchObject({ detail: [{ type: "invalid_archive" }] });
  } finally {
    await open.end();
    near.close();
  }
});
