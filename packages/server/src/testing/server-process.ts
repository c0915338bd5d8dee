/** The server as a process of its own, as `ltx-trainer serve` runs it: one that tests can kill. */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TrainingOutput } from "@ltx-trainer/contract";
import { repositoryFolder } from "@ltx-trainer/host";
import { expect } from "vitest";
import { QueueStatus } from "../wire/queue.ts";
import { TestService } from "./service.ts";

/** The compiled program: `npm run build` comes first. */
export const serverProgram = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

const endpoint = "/queue/fal-ai/ltx-video-trainer";

/** A server process on a data folder. */
export class ServerProcess {
  readonly child: ChildProcess;
  url = "";
  authorization = "";
  #said = "";

  private constructor(environment: Readonly<Record<string, string>>, command: readonly string[]) {
    const [program = "", ...args] = command;
    this.child = spawn(program, args, {
      cwd: repositoryFolder,
      env: environment,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.child.stderr?.on("data", (piece) => {
      this.#said += piece;
    });
  }

  static async start(
    environment: Readonly<Record<string, string>>,
    authorization = "",
    command: readonly string[] = [process.execPath, serverProgram],
  ): Promise<ServerProcess> {
    const server = new ServerProcess(environment, command);
    while (!/listens on (\S+)/.test(server.#said)) {
      if (server.child.exitCode !== null) throw new Error(server.#said);
      await delay(50);
    }
    server.url = /listens on (\S+)/.exec(server.#said)?.[1] ?? "";
    const key = /FAL_KEY="(.*)"/.exec(server.#said)?.[1];
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
    expect(this.child.exitCode, this.#said).toBeNull();
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
export async function preparedFolder(settings: Readonly<Record<string, string>>) {
  const service = await TestService.start(settings);
  await service.pause();
  const environment = {
    PATH: process.env.PATH ?? "",
    OMP_NUM_THREADS: "1",
    PORT: "0",
    LTX_TRAINER_HOME: service.home,
    LTX_TRAINER_BASE: `${service.home}/base`,
    LTX_TRAINER_DEVICES: "cpu",
    ...settings,
  };
  const end = () => service.end();
  return { input: service.input, environment, authorization: service.authorization, end };
}
