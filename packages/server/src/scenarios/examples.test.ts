/** The programs in `examples/`, run as a user runs them, each to a trained LoRA. The webhook receiver: `webhooks/deliver.test.ts`. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TrainingOutput } from "@ltx-trainer/contract";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { TestService } from "../testing/service.ts";
import { smallExample } from "../testing/small-example.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const examples = fileURLToPath(new URL("../../../../examples/", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "ltx-examples-"));
const dataset = join(scratch, "clips.zip");
const small = {
  rank: 8,
  number_of_steps: 100,
  number_of_frames: 25,
  resolution: "low",
  trigger_phrase: "glowpulse style",
};
let service: TestService;

const runs = (program: string) => spawnSync(program, ["--version"]).status === 0;

beforeAll(async () => {
  writeFileSync(dataset, await smallExample());
  service = await TestService.start();
});
afterAll(async () => {
  await service.end();
  rmSync(scratch, { recursive: true });
});

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

function run(program: string, args: readonly string[], key = service.authorization.slice(4)): Promise<Ended> {
  const env = { ...process.env, NODE_OPTIONS: "", FAL_KEY: key, LTX_TRAINER_URL: service.url };
  const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (piece) => {
    stdout += piece;
  });
  child.stderr.on("data", (piece) => {
    stderr += piece;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}

/** What an example printed last: the output as JSON. */
function outputIn({ stdout }: Ended): TrainingOutput {
  return TrainingOutput.parse(JSON.parse(stdout.slice(stdout.search(/^\{/m))));
}

test.each(["train.ts", "stream.ts"])("typescript/%s", async (name) => {
  const program = join(examples, "typescript", name);
  const ended = await run(process.execPath, ["--import", "tsx", program, dataset, JSON.stringify(small)]);
  expect(ended.code, ended.stderr).toBe(0);
  expect(ended.stdout).toMatch(/Step 100\/100/);
  expect(outputIn(ended).lora_file.file_size).toBeGreaterThan(0);
});

test.skipIf(!runs("python3"))("python/train.py (needs python3)", async () => {
  const ended = await run("python3", [join(examples, "python/train.py"), dataset, JSON.stringify(small)]);
  expect(ended.code, ended.stderr).toBe(0);
  expect(ended.stdout).toMatch(/Step 100\/100/);
  expect(outputIn(ended).lora_file.file_size).toBeGreaterThan(0);
  const refused = await run("python3", [join(examples, "python/train.py"), dataset, '{"rank": 7}']);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("422") });
});

test.skipIf(!runs("curl"))("curl/train.sh (needs curl)", async () => {
  const script = join(examples, "curl/train.sh");
  const ended = await run("sh", [script, dataset, JSON.stringify(small)]);
  expect(ended.code, ended.stderr).toBe(0);
  expect(outputIn(ended).config_file.content_type).toBe("application/json");
  const refused = await run("sh", [script, dataset, '{"number_of_steps": 7}']);
  expect(refused.stdout).toContain("greater than or equal to 100");
  expect((await run("sh", [script, dataset], "wrong:key")).code).not.toBe(0);
});
