/**
 * The server as a process that dies: kill -9 over a running training, PostgreSQL killed under it, two devices at once.
 * The compiled program is run, as `ltx-trainer serve` runs it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { QueueStatus, TrainingOutput } from "@ltx-trainer/contract";
import { afterEach, expect, test, vi } from "vitest";
import { processesWith } from "./testing/processes.ts";
import { TestService } from "./testing/service.ts";

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const program = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const endpoint = "/queue/fal-ai/ltx-video-trainer";
const ended: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

/** A server process on a data folder. */
class ServerProcess {
  readonly child: ChildProcess;
  url = "";
  authorization = "";
  private said = "";

  private constructor(environment: Readonly<Record<string, string>>) {
    this.child = spawn(process.execPath, [program], {
      env: environment,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.child.stderr?.on("data", (piece) => {
      this.said += piece;
    });
  }

  static async start(
    environment: Readonly<Record<string, string>>,
    authorization = "",
  ): Promise<ServerProcess> {
    const server = new ServerProcess(environment);
    ended.push(() => server.kill());
    while (!/listens on (\S+)/.test(server.said)) {
      if (server.child.exitCode !== null) throw new Error(server.said);
      await delay(50);
    }
    server.url = /listens on (\S+)/.exec(server.said)?.[1] ?? "";
    const key = /FAL_KEY="(.*)"/.exec(server.said)?.[1];
    server.authorization = key === undefined ? authorization : `Key ${key}`;
    return server;
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGKILL");
    await gone;
  }

  async json(method: string, path: string, body?: unknown): Promise<unknown> {
    expect(this.child.exitCode, this.said).toBeNull();
    const response = await fetch(this.url + path, {
      method,
      headers: { authorization: this.authorization, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return response.json();
  }

  async submit(input: unknown): Promise<string> {
    return QueueStatus.parse(await this.json("POST", endpoint, input)).request_id;
  }

  async status(id: string): Promise<{ readonly status: string; readonly said: string }> {
    const status = QueueStatus.parse(await this.json("GET", `${endpoint}/requests/${id}/status?logs=1`));
    return { status: status.status, said: (status.logs ?? []).map(({ message }) => message).join("\n") };
  }

  async until(id: string, isWanted: (status: { status: string; said: string }) => boolean) {
    for (;;) {
      const status = await this.status(id);
      if (isWanted(status)) return status;
      expect(status.status, status.said).not.toBe("COMPLETED");
      await delay(50);
    }
  }

  async output(id: string): Promise<TrainingOutput> {
    return TrainingOutput.parse(await this.json("GET", `${endpoint}/requests/${id}`));
  }
}

/** A folder with a base model, an input that fits it, and the environment of a server on it. */
async function prepared(settings: Readonly<Record<string, string>>) {
  const service = await TestService.start(settings);
  await service.pause();
  ended.push(() => service.end());
  const environment = {
    PATH: process.env.PATH ?? "",
    OMP_NUM_THREADS: "1",
    PORT: "0",
    LTX_TRAINER_HOME: service.home,
    LTX_TRAINER_BASE: `${service.home}/base`,
    LTX_TRAINER_DEVICES: "cpu",
    ...settings,
  };
  return { input: service.input, environment, authorization: service.authorization };
}

const processesOf = (id: string) => processesWith(`requests/${id}/job.json`);

test("kill -9 of the server: no trainer trains on unseen, and the next server finishes the work", async () => {
  expect(existsSync(program), "npm run build comes first").toBe(true);
  const { input, environment, authorization } = await prepared({ CHECKPOINT_INTERVAL: "10" });
  const first = await ServerProcess.start(environment, authorization);
  const running = await first.submit(input);
  const waiting = await first.submit({ ...input, rank: 16 });
  await first.until(running, ({ said }) => /Checkpoint written after step 10/.test(said));
  await first.kill();
  await expect.poll(() => processesOf(running), { timeout: 60_000 }).toEqual([]);
  const second = await ServerProcess.start(environment, first.authorization);
  const { said } = await second.until(running, ({ status }) => status === "COMPLETED");
  expect(said).toMatch(/resumed after step [1-9]0/);
  await second.until(waiting, ({ status }) => status === "COMPLETED");
  for (const id of [running, waiting])
    expect((await second.output(id)).lora_file.file_size).toBeGreaterThan(0);
});

test("kill -9 of PostgreSQL: clients see nothing but a pause, and the training goes on", async () => {
  const { input, environment, authorization } = await prepared({ CHECKPOINT_INTERVAL: "10" });
  const server = await ServerProcess.start(environment, authorization);
  const id = await server.submit(input);
  await server.until(id, ({ said }) => /^Step 1/m.test(said));
  const data = `${environment.LTX_TRAINER_HOME}/postgres/data`;
  const [postmaster] = processesWith(`bin/postgres -D ${data}`);
  process.kill(postmaster as number, "SIGKILL");
  const { said } = await server.until(id, ({ status }) => status === "COMPLETED");
  expect(said).toMatch(/Step 100\/100/);
  expect((await server.output(id)).config_file.content_type).toBe("application/json");
});

test("two devices train two requests at the same time", async () => {
  const { input, environment, authorization } = await prepared({ LTX_TRAINER_DEVICES: "cpu,cpu" });
  const server = await ServerProcess.start(environment, authorization);
  const longer = { ...input, number_of_steps: 400 };
  const ids = [await server.submit(longer), await server.submit(longer)];
  for (const id of ids) await server.until(id, ({ status }) => status === "IN_PROGRESS");
  const both = await Promise.all(ids.map((id) => server.status(id)));
  expect(both.map(({ status }) => status)).toEqual(["IN_PROGRESS", "IN_PROGRESS"]);
  for (const id of ids) await server.json("PUT", `${endpoint}/requests/${id}/cancel`);
  for (const id of ids) await server.until(id, ({ status }) => status === "COMPLETED");
  for (const id of ids) expect(processesOf(id)).toEqual([]);
});

test("an address that others reach is refused before there is a key", async () => {
  const { environment } = await prepared({});
  const fresh = {
    ...environment,
    LTX_TRAINER_HOME: `${environment.LTX_TRAINER_HOME}/other`,
    HOST: "0.0.0.0",
  };
  await expect(ServerProcess.start(fresh)).rejects.toThrow(/HOST: got 0\.0\.0\.0.*no key/);
});
