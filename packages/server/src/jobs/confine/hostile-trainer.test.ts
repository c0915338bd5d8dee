/**
 * A compromised trainer at a real service: it reaches nothing through the files that the server writes for it, publishes only
 * its own files, leaves nothing running, and blocks nothing by its output.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { TrainingOutput } from "@ltx-trainer/contract";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { processesWith } from "../../testing/processes.ts";
import { TestService } from "../../testing/service.ts";
import { QueueStatus } from "../../wire/queue.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const queue = "/queue/fal-ai/ltx-video-trainer";
const isRoot = process.getuid?.() === 0;
/** What it does is in the trigger phrase. `victims`, beside it, holds what only the server may reach. */
const program = `
import { spawn } from "node:child_process";
import fs from "node:fs";
import { dirname, join } from "node:path";
const [, , command, jobFile] = process.argv;
const victims = new URL("victims", import.meta.url).pathname;
const say = (event) => fs.writeSync(1, JSON.stringify(event) + "\\n");
const finish = (outputs) => { say({ type: "finished", outputs }); process.exit(0); };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const attempt = (work) => { try { work(); } catch {} };
if (command === "doctor") finish({ checks: [] });
const job = JSON.parse(fs.readFileSync(jobFile, "utf8"));
const { out, trigger_phrase: part } = job;
const outputsIn = (folder) => {
  fs.mkdirSync(folder, { recursive: true });
  const [lora_file, lora_file_comfyui, config_file] = ["a.safetensors", "b.safetensors", "c.json"].map((name) => {
    fs.writeFileSync(join(folder, name), "own");
    return join(folder, name);
  });
  return { lora_file, lora_file_comfyui, config_file, video: null, contact_sheet: null, out, steps: 1, seconds: 1, final_loss: null };
};
const place = (name) => attempt(() => {
  fs.rmSync(join(dirname(jobFile), name), { recursive: true, force: true });
  fs.symlinkSync(join(victims, name), join(dirname(jobFile), name));
});
process.on("SIGINT", () => {});
const outputs = outputsIn(join(out, "sub"));
if (part === "links") {
  if (!fs.existsSync(join(out, "again"))) {
    fs.writeFileSync(join(out, "again"), "");
    for (const name of ["job.json", "inputs"]) place(name);
    process.kill(process.pid, "SIGKILL");
  }
  for (const name of ["job.json.stop", "trained.json.tmp"]) place(name);
  say({ type: "trained", outputs });
  await sleep(300);
  say({ type: "log", level: "info", message: "ready" });
  await sleep(600_000);
}
if (part === "swap") {
  say({ type: "trained", outputs });
  // Until the server has checked them.
  while (!fs.existsSync(join(victims, "noted"))) await sleep(10);
  fs.renameSync(join(out, "sub"), join(out, "own"));
  fs.symlinkSync(join(victims, "secret"), join(out, "sub"));
  process.exit(1);
}
if (part === "daemon") spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)", victims], { detached: true, stdio: "ignore" }).unref();
if (part === "odd") say({ type: "trained", outputs: { lora_file: 1 } });
if (part === "loud") {
  const put = (stream, text) => {
    for (let bytes = Buffer.from(text); bytes.length > 0; ) {
      try { bytes = bytes.subarray(fs.writeSync(stream, bytes)); } catch (error) { if (error.code !== "EAGAIN") throw error; }
    }
  };
  say({ type: "progress", step: 2 ** 40, total: 2 ** 41, loss: 1e308, lr: 1, secondsPerStep: 1, etaSeconds: 1, memoryBytes: 1 });
  for (let count = 0; count < 3; count++) put(1, "a".repeat(2 ** 20));
  put(1, "\\n");
  for (let count = 0; count < 3_000; count++) put(2, "noise\\n");
  say({ type: "log", level: "info", message: "last words" });
}
finish(outputs);
`;

let service: TestService;
let folder: string;
let victims: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ltx-hostile-"));
  chmodSync(folder, 0o755);
  victims = join(folder, "victims");
  for (const name of ["inputs", "secret"]) mkdirSync(join(victims, name), { recursive: true });
  for (const name of ["job.json", "job.json.stop", "trained.json.tmp"])
    writeFileSync(join(victims, name), "precious");
  for (const name of ["a.safetensors", "b.safetensors", "c.json"])
    writeFileSync(join(victims, "secret", name), "secret");
  chmodSync(join(victims, "secret"), 0o700);
  writeFileSync(join(folder, "trainer.mjs"), program);
  vi.stubEnv("LTX_TRAINER_PROGRAM", join(folder, "trainer.mjs"));
  service = await TestService.start({ RETRY_SECONDS: "0.1" });
});
afterAll(async () => {
  await service?.end();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

async function submit(part: string): Promise<string> {
  const file = await fetch(`${service.url}/files/upload`, {
    method: "POST",
    headers: { authorization: service.authorization, "content-type": "application/zip" },
    body: "a user's",
  });
  const { access_url: url } = (await file.json()) as { access_url: string };
  const input = { training_data_url: url, trigger_phrase: part, number_of_steps: 100 };
  return QueueStatus.parse((await service.call("POST", queue, { body: input })).body).request_id;
}

async function until(id: string, isWanted: (status: string, said: string[]) => boolean): Promise<string[]> {
  for (;;) {
    const { body } = await service.call("GET", `${queue}/requests/${id}/status?logs=1`);
    const { status, logs } = QueueStatus.parse(body);
    const said = (logs ?? []).map(({ message }) => message);
    if (isWanted(status, said)) return said;
    expect(status, said.join("\n")).not.toBe("COMPLETED");
    await delay(50);
  }
}

const ended = (status: string) => status === "COMPLETED";
const answerOf = (id: string) => service.call("GET", `${queue}/requests/${id}`);

test.runIf(isRoot)(
  "nothing that the server writes for a trainer goes where the trainer's links lead",
  async () => {
    const id = await submit("links");
    await until(id, (_, said) => said.includes("ready"));
    await service.call("PUT", `${queue}/requests/${id}/cancel`);
    await until(id, ended);
    for (const name of ["job.json", "job.json.stop", "trained.json.tmp"])
      expect(readFileSync(join(victims, name), "utf8"), name).toBe("precious");
    expect(existsSync(join(victims, "inputs/given-0"))).toBe(false);
  },
);

test("outputs that are replaced after the server checked them are not published", async () => {
  const id = await submit("swap");
  await until(id, (_, said) => said.includes("The LoRA is trained"));
  writeFileSync(join(victims, "noted"), "");
  await until(id, ended);
  expect((await answerOf(id)).status).toBe(500);
});

test.runIf(isRoot)("a process that left the trainer's group ends with the trainer", async () => {
  const id = await submit("daemon");
  await until(id, ended);
  expect((await answerOf(id)).status).toBe(200);
  expect(processesWith(`setInterval(() => {}, 1000) ${victims}`)).toEqual([]);
});

test("a trainer that prints nonsense fails its own request and does not mark the device as broken", async () => {
  const id = await submit("odd");
  const said = await until(id, ended);
  expect(TrainingOutput.parse((await answerOf(id)).body).lora_file.file_size).toBe(3);
  expect(said.join("\n")).not.toContain("Trying again");
});

test("a trainer that prints without limit loses no event", async () => {
  const id = await submit("loud");
  expect(await until(id, ended)).toContain("last words");
  expect((await answerOf(id)).status).toBe(200);
});
