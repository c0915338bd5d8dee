/** A server process with a training that takes long, for tests that stop the server or let it stand still. */
import { setTimeout as delay } from "node:timers/promises";
import { sql } from "kysely";
import { expect } from "vitest";
import { type Database, openDatabase } from "../db/database.ts";
import { EmbeddedPostgres } from "../postgres/embedded-postgres.ts";
import { silent } from "./postgres.ts";
import { familyOf, processesWith } from "./processes.ts";
import { preparedFolder, ServerProcess } from "./server-process.ts";

export type Way = {
  readonly what: string;
  /** Which server is stopped. */
  readonly command: readonly string[];
  readonly stop: (server: ServerProcess) => void;
};

const cli = "packages/cli/bin/ltx-trainer.js";
const endpoint = "/queue/fal-ai/ltx-video-trainer";

export const stopsOfService: Way = {
  what: "SIGTERM to every process of it, as systemd does",
  command: [process.execPath, cli, "serve"],
  stop: ({ child }) => {
    for (const pid of familyOf(child.pid)) signal(pid, "SIGTERM");
  },
};

export const stopsOfNpm: Way = {
  what: "SIGTERM to npm start",
  command: ["npm", "start"],
  stop: ({ child }) => signal(child.pid, "SIGTERM"),
};

export function signal(pid: number | undefined, name: NodeJS.Signals): void {
  // 0 means the test's own process group.
  if (!pid) throw new Error(`no process to send ${name} to`);
  try {
    process.kill(pid, name);
  } catch {
    // It has ended already.
  }
}

function count(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].length;
}

export class LongTraining {
  readonly id: string;
  readonly db: Database;
  server: ServerProcess;
  readonly #folder: Awaited<ReturnType<typeof preparedFolder>>;

  private constructor(folder: Awaited<ReturnType<typeof preparedFolder>>, server: ServerProcess, id: string) {
    this.#folder = folder;
    this.server = server;
    this.id = id;
    const { address } = new EmbeddedPostgres(folder.environment.LTX_TRAINER_HOME, silent);
    this.db = openDatabase(address, { connections: 1, log: silent });
  }

  /** @param settings of the server process only, beside those of every one */
  static async start(
    settings: Readonly<Record<string, string>>,
    command?: readonly string[],
  ): Promise<LongTraining> {
    const folder = await preparedFolder({ CHECKPOINT_INTERVAL: "20" });
    const environment = {
      ...folder.environment,
      HOME: process.env.HOME ?? "/",
      npm_config_update_notifier: "false",
      LOG_LEVEL: "warn",
      ...settings,
    };
    const server = await ServerProcess.start(environment, folder.authorization, command);
    const id = await server.submit({ ...folder.input, number_of_steps: 6000 });
    const training = new LongTraining({ ...folder, environment }, server, id);
    await training.untilSteps(1);
    return training;
  }

  get trainers(): number[] {
    return processesWith(`requests/${this.id}/job.json`);
  }

  /** Until the client sees so many more lines about steps. */
  async untilSteps(more: number): Promise<void> {
    const steps = /^Step [1-9]/gm;
    const before = count((await this.server.status(this.id)).said, steps);
    await this.server.until(this.id, ({ said }) => count(said, steps) >= before + more);
  }

  /** Who holds the request, which try it is, and how many were lost. */
  async lease() {
    return this.db
      .selectFrom("requests")
      .select(["state", "attempts", "losses", "lease_id"])
      .where("id", "=", this.id)
      .executeTakeFirstOrThrow();
  }

  /** Seconds that its lease still holds. */
  async secondsLeft(): Promise<number> {
    const { left } = await this.db
      .selectFrom("requests")
      .select(sql<number>`extract(epoch from lease_expires_at - now())::float8`.as("left"))
      .where("id", "=", this.id)
      .executeTakeFirstOrThrow();
    return left;
  }

  /** Stops the server and shows that the training wrote a checkpoint and lost nothing; then starts the next one. */
  async stop({ what, stop }: Way, next: readonly string[] | undefined): Promise<void> {
    const written = /Checkpoint written/g;
    const before = count((await this.server.status(this.id)).said, written);
    await this.untilSteps(1);
    expect(this.trainers, what).toHaveLength(1);
    stop(this.server);
    const processes = () => processesWith(this.#folder.environment.LTX_TRAINER_HOME);
    await expect.poll(processes, { timeout: 200_000 }).toEqual([]);
    this.server = await ServerProcess.start(this.#folder.environment, this.#folder.authorization, next);
    expect(await this.lease(), what).toMatchObject({ losses: 0 });
    expect(count((await this.server.status(this.id)).said, written), what).toBeGreaterThan(before);
  }

  async cancel(): Promise<void> {
    await this.server.json("PUT", `${endpoint}/requests/${this.id}/cancel`);
    await this.server.until(this.id, ({ status }) => status === "COMPLETED");
  }

  async end(): Promise<void> {
    await this.db.destroy();
    for (const pid of familyOf(this.server.child.pid).reverse()) signal(pid, "SIGKILL");
    while (processesWith(this.#folder.environment.LTX_TRAINER_HOME).length > 0) await delay(50);
    await this.#folder.end();
  }
}
