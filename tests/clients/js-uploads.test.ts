/**
 * Uploads with fal's own JavaScript client, unmodified: small, in parts, automatic, and the sample of the hosted
 * endpoint's page.
 */
import { createHash } from "node:crypto";
import { createFalClient, type FalClient, ValidationError } from "@fal-ai/client";
import { TrainingOutput } from "@ltx-trainer/contract";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { TestService } from "../../packages/server/src/testing/service.ts";
import { smallExample } from "../../packages/server/src/testing/small-example.ts";
import { runProgram, withLine } from "./run-sample.ts";
import { configLine, samples } from "./seed-samples.ts";

// A whole training and large uploads, on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const app: string = "fal-ai/ltx-video-trainer";
let service: TestService;
let fal: FalClient;

beforeAll(async () => {
  service = await TestService.start({ LTX_TRAINER_BASE: "ltx-nano" });
  fal = createFalClient({
    credentials: service.authorization.replace("Key ", ""),
    proxyUrl: { url: `${service.url}/api/fal/proxy`, when: "always" },
  });
});
afterAll(() => service.end());

const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function download(url: string): Promise<{ readonly type: string | null; readonly bytes: Uint8Array }> {
  const response = await fetch(url);
  expect(response.status).toBe(200);
  return { type: response.headers.get("content-type"), bytes: new Uint8Array(await response.arrayBuffer()) };
}

test("upload files: the page's sample runs as printed, and what it uploads can be read", async () => {
  const code = `${withLine(samples["upload files"], configLine(service.url))}console.log(url);`;
  const {
    code: status,
    stdout,
    stderr,
  } = await runProgram(code, {
    FAL_KEY: service.authorization.replace("Key ", ""),
  });
  expect(status, stderr).toBe(0);
  const { type, bytes } = await download(stdout.trim());
  expect(type).toMatch(/^text\/plain/);
  expect(Buffer.from(bytes).toString()).toBe("Hello, World!");
});

test("a file above 90 MiB goes in parts, and comes back the same", async () => {
  const bytes = new Uint8Array(95 * 2 ** 20);
  for (let at = 0; at < bytes.length; at += 4093) bytes[at] = at % 251;
  const url = await fal.storage.upload(new Blob([bytes], { type: "application/zip" }));
  const back = await download(url);
  expect(back.type).toBe("application/zip");
  expect(hashOf(back.bytes)).toBe(hashOf(bytes));
});

test("binary objects anywhere in the input are uploaded by themselves, and the training reads them", async () => {
  const zip = new File([await smallExample()], "glowpulse.zip", { type: "application/zip" });
  const { data } = await fal.subscribe(app, {
    input: {
      training_data_url: zip,
      rank: "8",
      number_of_steps: 100,
      number_of_frames: 25,
      resolution: "low",
      trigger_phrase: "GLOWPULSE",
      validation_resolution: "low",
      validation_number_of_frames: 9,
    },
  });
  const { lora_file: lora } = TrainingOutput.parse(data);
  expect((await download(lora.url)).bytes).toHaveLength(lora.file_size ?? 0);
});

test("a file that is no dataset is the input's error", async () => {
  const broken = new Blob(["no zip"], { type: "application/zip" });
  const error = await fal.subscribe(app, { input: { training_data_url: broken } }).catch((reason) => reason);
  expect(error).toBeInstanceOf(ValidationError);
  expect((error as ValidationError).getFieldErrors("training_data_url")).toMatchObject([
    { type: "invalid_archive" },
  ]);
});
