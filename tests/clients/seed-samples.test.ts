/**
 * The code samples of the hosted endpoint's page, each run as a program of its own: as printed plus one line of
 * `fal.config`, and once more with its placeholders filled in. The sample that uploads is in `js-uploads.test.ts`.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { TestService } from "../../packages/server/src/testing/service.ts";
import { type Ended, runProgram, withLine } from "./run-sample.ts";
import { configLine, sampleRequestId, samples } from "./seed-samples.ts";

// One of them trains a thousand steps, the default, on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

let service: TestService;
/** Of a request that came to a good end. */
let requestId = "";

beforeAll(async () => {
  service = await TestService.start();
});
afterAll(() => service.end());

/** The sample with our line, after some of its text was replaced. */
function run(name: keyof typeof samples, replaced: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const filled = Object.entries(replaced).reduce(
    (text, [from, to]) => text.replace(from, () => to),
    samples[name] as string,
  );
  return runProgram(withLine(filled, configLine(service.url)), {
    FAL_KEY: service.authorization.replace("Key ", ""),
  });
}

/** A clip that is long enough for the default number of frames, as a data URI. */
function clip(): string {
  const path = join(service.home, "long.mp4");
  const source = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25", "-t", "3.5"];
  execFileSync("ffmpeg", ["-v", "error", ...source, "-pix_fmt", "yuv420p", path]);
  return `data:video/mp4;base64,${readFileSync(path).toString("base64")}`;
}

test("submit a request: as printed it names no data, and the client says so", async () => {
  const { code, stderr } = await run("submit a request");
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/ValidationError: Unprocessable Entity/);
  expect(stderr).toMatch(/training_data_url/);
});

test("submit a request: with data it trains, shows the log, and prints the files and the id", async () => {
  const data = { 'training_data_url: ""': `training_data_url: "${clip()}"` };
  const { code, stdout, stderr } = await run("submit a request", data);
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/Step 1000\/1000/);
  for (const file of ["video", "lora_file", "config_file"]) {
    expect(stdout).toMatch(new RegExp(`${file}: (\\{\\n\\s+url: 'http|null)`));
  }
  requestId = /^[0-9a-f-]{36}$/m.exec(stdout)?.[0] ?? "";
  expect(requestId).not.toBe("");
});

test("API key: the key set by the program is the one that counts", async () => {
  const key = service.authorization.replace("Key ", "");
  const proxy = configLine(service.url).replace(/^fal\.config\(\{ (.*) \}\);$/, "$1");
  const call = `console.log((await fal.queue.status("fal-ai/ltx-video-trainer", { requestId: "${requestId}" })).status);`;
  const sample = (credentials: string) =>
    samples["API key"].replace('"YOUR_FAL_KEY"', `"${credentials}",\n${proxy}`) + call;
  expect(await runProgram(sample(key), {})).toMatchObject({ code: 0, stdout: "COMPLETED\n" });
  const wrong = await runProgram(sample("YOUR_FAL_KEY"), { FAL_KEY: key });
  expect(wrong.stderr).toMatch(/ApiError: Unauthorized[\s\S]*invalid key credentials/);
});

test("submit to the queue: runs as printed", async () => {
  expect(await run("submit to the queue")).toEqual({ code: 0, stdout: "", stderr: "" });
});

test.each(["fetch request status", "get the result"] as const)(
  "%s: as printed it names somebody else's request, with an id of ours it runs",
  async (name) => {
    const { code, stderr } = await run(name);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/ApiError: Not Found/);
    const own = await run(name, { [sampleRequestId]: requestId });
    expect(own.code, own.stderr).toBe(0);
    if (name === "get the result") expect(own.stdout).toMatch(new RegExp(`lora_file[\\s\\S]*${requestId}`));
  },
);
