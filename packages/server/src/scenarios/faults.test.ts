/**
 * The server as a process that dies: kill -9 over a running training, PostgreSQL killed under it, two devices at once.
 * The compiled program is run, as `ltx-trainer serve` runs it.
 */
import { existsSync } from "node:fs";
import { afterEach, expect, test, vi } from "vitest";
import { processesWith } from "../testing/processes.ts";
import { preparedFolder, ServerProcess, serverProgram } from "../testing/server-process.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const endpoint = "/queue/fal-ai/ltx-video-trainer";
const ended: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

async function prepared(settings: Readonly<Record<string, string>>) {
  const folder = await preparedFolder(settings);
  ended.push(folder.end);
  return folder;
}

async function started(environment: Readonly<Record<string, string>>, authorization?: string) {
  const server = await ServerProcess.start(environment, authorization);
  ended.push(() => server.kill());
  return server;
}

const processesOf = (id: string) => processesWith(`requests/${id}/job.json`);

test("kill -9 of the server: no trainer trains on unseen, and the next server finishes the work", async () => {
  expect(existsSync(serverProgram), "npm run build comes first").toBe(true);
  const { input, environment, authorization } = await prepared({ CHECKPOINT_INTERVAL: "10" });
  const first = await started(environment, authorization);
  const running = await first.submit(input);
  const waiting = await first.submit({ ...input, rank: 16 });
  await first.until(running, ({ said }) => /Checkpoint written after step 10/.test(said));
  await first.kill();
  await expect.poll(() => processesOf(running), { timeout: 120_000 }).toEqual([]);
  const second = await started(environment, first.authorization);
  const { said } = await second.until(running, ({ status }) => status === "COMPLETED");
  expect(said).toMatch(/resumed after step [1-9]0/);
  await second.until(waiting, ({ status }) => status === "COMPLETED");
  for (const id of [running, waiting])
    expect((await second.output(id)).lora_file.file_size).toBeGreaterThan(0);
});

test("kill -9 of PostgreSQL: clients see nothing but a pause, and the training goes on", async () => {
  const { input, environment, authorization } = await prepared({ CHECKPOINT_INTERVAL: "10" });
  const server = await started(environment, authorization);
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
  const server = await started(environment, authorization);
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
  await expect(started(fresh)).rejects.toThrow(/HOST: got 0\.0\.0\.0.*no key/);
});
