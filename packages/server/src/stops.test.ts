/**
 * A server that is stopped, in every way there is, and one that stands still: no training loses its lease or a checkpoint.
 * The compiled programs are run.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { openDatabase } from "./db/database.ts";
import { EmbeddedPostgres } from "./postgres/embedded-postgres.ts";
import { startBucket } from "./testing/bucket.ts";
import { silent } from "./testing/postgres.ts";
import { familyOf, processesWith } from "./testing/processes.ts";
import { preparedFolder, ServerProcess } from "./testing/server-process.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const ended: (() => unknown)[] = [];
const endpoint = "/queue/fal-ai/ltx-video-trainer";
const cli = "packages/cli/bin/ltx-trainer.js";

afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

async function prepared(settings: Readonly<Record<string, string>>) {
  const folder = await preparedFolder({ CHECKPOINT_INTERVAL: "20", ...settings });
  ended.push(folder.end);
  return folder;
}

type Folder = Awaited<ReturnType<typeof prepared>>;

async function started({ environment, authorization }: Folder, command?: readonly string[]) {
  const server = await ServerProcess.start(environment, authorization, command);
  ended.push(() => {
    for (const pid of familyOf(server.child.pid ?? 0).reverse()) kill(pid, "SIGKILL");
  });
  return server;
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}

/** Which try of the request this is, and how many were lost. */
async function leaseOf({ environment }: Pick<Folder, "environment">, id: string) {
  const { address } = new EmbeddedPostgres(environment.LTX_TRAINER_HOME, silent);
  const db = openDatabase(address, { connections: 1, log: silent });
  try {
    return await db
      .selectFrom("requests")
      .select(["state", "attempts", "losses", "lease_id"])
      .where("id", "=", id)
      .executeTakeFirstOrThrow();
  } finally {
    await db.destroy();
  }
}

const trainersOf = (id: string) => processesWith(`requests/${id}/job.json`);

const ways: [string, readonly string[], (server: ServerProcess) => void][] = [
  ["SIGTERM to npm start", ["npm", "start"], ({ child }) => void child.kill("SIGTERM")],
  ["SIGTERM to npx", ["npx", "ltx-trainer", "serve"], ({ child }) => void child.kill("SIGTERM")],
  [
    "SIGTERM to every process of it, as systemd does",
    [process.execPath, cli, "serve"],
    ({ child }) => {
      for (const pid of familyOf(child.pid ?? 0)) kill(pid, "SIGTERM");
    },
  ],
  [
    "Ctrl-C that arrives twice, as it does through npm",
    [process.execPath, cli, "serve"],
    ({ child }) => {
      child.kill("SIGINT");
      setTimeout(() => child.kill("SIGINT"), 100);
    },
  ],
];

test("however it is stopped, the training writes a checkpoint and goes on with the next server", async () => {
  const folder = await prepared({
    HOME: process.env.HOME ?? "/",
    npm_config_update_notifier: "false",
    LOG_LEVEL: "warn",
  });
  let server = await started(folder, ways[0]?.[1]);
  const id = await server.submit({ ...folder.input, number_of_steps: 6000 });
  for (const [place, [what, , stop]] of ways.entries()) {
    const before = await server.status(id);
    await server.until(id, ({ said }) => count(said, steps) > count(before.said, steps));
    expect(trainersOf(id)).toHaveLength(1);
    stop(server);
    const processes = () => processesWith(folder.environment.LTX_TRAINER_HOME);
    await expect.poll(processes, { timeout: 200_000 }).toEqual([]);
    server = await started(folder, ways[place + 1]?.[1]);
    expect(await leaseOf(folder, id), what).toMatchObject({ losses: 0 });
    expect(count((await server.status(id)).said, written), what).toBeGreaterThan(count(before.said, written));
  }
  await server.json("PUT", `${endpoint}/requests/${id}/cancel`);
  await server.until(id, ({ status }) => status === "COMPLETED");
});

const steps = /^Step [1-9]/gm;
const written = /Checkpoint written/g;

function count(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].length;
}

test("an event loop that stands still for longer than a lease costs no training its lease", async () => {
  const temporary = mkdtempSync(join(tmpdir(), "ltx-stall-"));
  ended.push(() => rmSync(temporary, { recursive: true }));
  const preload = join(temporary, "stall.cjs");
  writeFileSync(
    preload,
    `if (require("node:worker_threads").isMainThread)
       process.on("SIGUSR2", () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 13_000));`,
  );
  const folder = await prepared({ LEASE_SECONDS: "8" });
  const environment = { ...folder.environment, NODE_OPTIONS: `--require=${preload}` };
  const server = await started({ ...folder, environment });
  const id = await server.submit({ ...folder.input, number_of_steps: 6000 });
  await server.until(id, ({ said }) => /^Step [1-9]/m.test(said));
  const trainers = trainersOf(id);
  const before = await leaseOf(folder, id);
  server.child.kill("SIGUSR2");
  await delay(500);
  // Answered only after the stall.
  await server.status(id);
  expect(await leaseOf(folder, id)).toEqual(before);
  expect(trainersOf(id)).toEqual(trainers);
  await server.json("PUT", `${endpoint}/requests/${id}/cancel`);
  await server.until(id, ({ status }) => status === "COMPLETED");
});

test("a server that stands still as a whole goes on when nobody took its request, and lets go when somebody did", async () => {
  const temporary = mkdtempSync(join(tmpdir(), "ltx-stop-"));
  const bucket = await startBucket("shared", temporary);
  ended.push(
    () => rmSync(temporary, { recursive: true }),
    () => bucket.close(),
  );
  const shared = {
    LEASE_SECONDS: "8",
    S3_BUCKET: bucket.name,
    S3_ENDPOINT: bucket.endpoint,
    AWS_ACCESS_KEY_ID: "S3RVER",
    AWS_SECRET_ACCESS_KEY: "S3RVER",
  };
  const folder = await prepared(shared);
  const first = await started(folder);
  const { host, user, database } = new EmbeddedPostgres(folder.environment.LTX_TRAINER_HOME, silent).address;
  const other = await prepared({
    ...shared,
    DATABASE_URL: `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`,
  });
  const id = await first.submit({ ...folder.input, number_of_steps: 6000 });
  await first.until(id, ({ said }) => /^Step [1-9]/m.test(said));
  const [trainer] = trainersOf(id);
  const before = await leaseOf(folder, id);
  first.child.kill("SIGSTOP");
  await delay(12_000);
  first.child.kill("SIGCONT");
  // Time for the heartbeats that decide.
  await delay(5_000);
  expect(await leaseOf(folder, id)).toEqual(before);
  expect(trainersOf(id)).toEqual([trainer]);
  const second = await started({ ...other, authorization: folder.authorization });
  first.child.kill("SIGSTOP");
  const next = before.attempts + 1;
  await expect.poll(async () => (await leaseOf(folder, id)).attempts, { timeout: 200_000 }).toBe(next);
  first.child.kill("SIGCONT");
  await expect.poll(() => trainersOf(id).includes(trainer ?? 0), { timeout: 100_000 }).toBe(false);
  expect(await leaseOf(folder, id)).toMatchObject({ state: "running", attempts: next });
  await second.json("PUT", `${endpoint}/requests/${id}/cancel`);
  await second.until(id, ({ status }) => status === "COMPLETED");
});
