/**
 * Confinement of the service's trainers: no new privileges, first victim of the OOM killer, and under root a separate account
 * without access to the database, the store and the data folder.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { TrainOutputs } from "@ltx-trainer/contract";
import { TrainingOutput } from "@ltx-trainer/contract";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { trainerAccount } from "../../config/data-folder.ts";
import { processesWith } from "../../testing/processes.ts";
import { TestService } from "../../testing/service.ts";
import { trainerEndpoint } from "../../testing/trainer-endpoint.ts";
import { QueueStatus } from "../../wire/queue.ts";
import { RequestFolder } from "./request-folder.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const queue = "/queue/fal-ai/ltx-video-trainer";
let service: TestService;
beforeAll(async () => {
  service = await TestService.start();
});
afterAll(() => service?.end());

async function upload(): Promise<string> {
  const response = await fetch(`${service.url}/files/upload`, {
    method: "POST",
    headers: {
      authorization: service.authorization,
      "content-type": "video/mp4",
      "x-fal-file-name": "a.mp4",
    },
    body: Buffer.from(String(service.input.training_data_url).split(",")[1] ?? "", "base64"),
  });
  return ((await response.json()) as { access_url: string }).access_url;
}

const statusOf = (pid: number) => readFileSync(`/proc/${pid}/status`, "utf8");
const isRoot = process.getuid?.() === 0;

test("a trainer can read an uploaded file, write its outputs, and nothing else", async () => {
  const input = { ...service.input, training_data_url: await upload(), number_of_steps: 400 };
  const { request_id: id } = QueueStatus.parse((await service.call("POST", queue, { body: input })).body);
  const trainers = () => processesWith(`requests/${id}/job.json`);
  while (!trainers().some((pid) => /^NoNewPrivs:\t1$/m.test(statusOf(pid)))) await delay(20);
  const [pid = 0] = trainers();
  expect(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8").trim()).toBe("500");
  if (isRoot) {
    const { uid, gid } = trainerAccount();
    expect(statusOf(pid)).toMatch(new RegExp(`^Uid:\t${uid}\t${uid}\t${uid}\t${uid}$`, "m"));
    const socket = service.databaseAddress.host;
    const closed = [service.home, join(service.home, "files"), socket, join(service.home, "requests")];
    for (const path of closed.slice(1)) {
      const list = spawnSync("ls", [path], { uid, gid, cwd: "/", encoding: "utf8" });
      expect(list.status, `${path}: ${list.stdout}`).not.toBe(0);
    }
  }
  for (;;) {
    const { status } = QueueStatus.parse((await service.call("GET", `${queue}/requests/${id}/status`)).body);
    if (status === "COMPLETED") break;
    await delay(100);
  }
  const { lora_file: lora } = TrainingOutput.parse(
    (await service.call("GET", `${queue}/requests/${id}`)).body,
  );
  expect((await (await fetch(lora.url)).arrayBuffer()).byteLength).toBe(lora.file_size);
  const folder = new RequestFolder(service.home, id);
  if (isRoot) expect(statSync(folder.path).uid).toBe(0);
  expect(readdirSync(join(service.home, "cache")).length).toBeGreaterThan(0);
});

test("a file outside the trainer's folder is never an output, by name or by link", async () => {
  const folder = new RequestFolder(service.home, "0190c000-0000-7000-8000-00000000abcd");
  mkdirSync(folder.output, { recursive: true });
  const inside = join(folder.output, "lora.safetensors");
  writeFileSync(inside, "");
  const outputs = (lora: string): TrainOutputs => ({
    lora_file: lora,
    lora_file_comfyui: inside,
    config_file: inside,
    video: null,
    contact_sheet: null,
    out: folder.output,
    steps: 1,
    seconds: 1,
    final_loss: null,
  });
  expect(await folder.checkOutputs(outputs(inside), trainerEndpoint)).toEqual(outputs(inside));
  const link = join(folder.output, "link.safetensors");
  symlinkSync("/etc/passwd", link);
  symlinkSync("/etc", join(folder.output, "etc"));
  const outside = [
    "/etc/passwd",
    link,
    join(folder.output, "etc/passwd"),
    join(folder.output, "../x"),
    "/none",
  ];
  for (const path of outside) {
    await expect(folder.checkOutputs(outputs(path), trainerEndpoint), path).rejects.toMatchObject({
      code: "trainer_died",
    });
  }
  execFileSync("rm", ["-r", folder.path]);
});
