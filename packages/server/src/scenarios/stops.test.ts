/**
 * A server that is stopped, and one that stands still: no training loses its lease or a checkpoint. The compiled programs are
 * run. More ways to stop one are in `tests/long/stops.test.ts`.
 *
 * One server and one training go through all of it, in this order.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { v4 as uuidv4 } from "uuid";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { claim, resolveExpired } from "../db/requests/leases.ts";
import { release } from "../db/requests/transitions.ts";
import { registerWorker, retireWorker } from "../db/workers.ts";
import { LongTraining, signal, stopsOfNpm, stopsOfService } from "../testing/long-training.ts";
import { trainerEndpoint } from "../testing/trainer-endpoint.ts";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const leaseSeconds = 6;
const timeout = 200_000;
const folder = mkdtempSync(join(tmpdir(), "ltx-stops-"));
/** Written by the server once its event loop stands still; it goes on when the file is removed. */
const stalled = join(folder, "stalled");
let training: LongTraining;

beforeAll(async () => {
  const preload = join(folder, "stall.cjs");
  writeFileSync(
    preload,
    `const { existsSync, writeFileSync } = require("node:fs");
     const cell = new Int32Array(new SharedArrayBuffer(4));
     if (require("node:worker_threads").isMainThread) process.on("SIGUSR2", () => {
       writeFileSync(${JSON.stringify(stalled)}, "");
       while (existsSync(${JSON.stringify(stalled)})) Atomics.wait(cell, 0, 0, 50);
     });`,
  );
  training = await LongTraining.start({
    LEASE_SECONDS: String(leaseSeconds),
    NODE_OPTIONS: `--require=${preload}`,
  });
});
afterAll(async () => {
  rmSync(stalled, { force: true });
  await training?.end();
  rmSync(folder, { recursive: true });
});

const pidOfServer = () => training.server.child.pid;

test("an event loop that stands still for longer than a lease costs no training its lease", async () => {
  const { trainers } = training;
  const before = await training.lease();
  signal(pidOfServer(), "SIGUSR2");
  await expect.poll(() => existsSync(stalled), { timeout }).toBe(true);
  const start = performance.now();
  let isAnswered = false;
  const answer = training.server.status(training.id).then(() => {
    isAnswered = true;
  });
  // What held when the loop stopped has run out by then: all of it was renewed since.
  const isLater = () => performance.now() - start > leaseSeconds * 1000;
  await expect.poll(async () => isLater() && (await training.secondsLeft()) > 0, { timeout }).toBe(true);
  expect(isAnswered).toBe(false);
  rmSync(stalled);
  await answer;
  expect(await training.lease()).toEqual(before);
  expect(training.trainers).toEqual(trainers);
});

test("a server that stands still as a whole goes on with what nobody took meanwhile", async () => {
  const { trainers } = training;
  const before = await training.lease();
  signal(pidOfServer(), "SIGSTOP");
  await expect.poll(() => training.secondsLeft(), { timeout }).toBeLessThan(0);
  signal(pidOfServer(), "SIGCONT");
  await expect.poll(() => training.secondsLeft(), { timeout }).toBeGreaterThan(0);
  await training.untilSteps(1);
  expect(await training.lease()).toEqual(before);
  expect(training.trainers).toEqual(trainers);
});

test("a server that stands still as a whole lets go of what somebody took meanwhile", async () => {
  const { db, trainers } = training;
  const before = await training.lease();
  const workerId = uuidv4();
  await registerWorker(db, { id: workerId, devices: [] });
  signal(pidOfServer(), "SIGSTOP");
  await expect.poll(() => training.secondsLeft(), { timeout }).toBeLessThan(0);
  await resolveExpired(db);
  const taken = await claim(db, {
    workerId,
    leaseId: uuidv4(),
    leaseSeconds: 600,
    endpoints: [trainerEndpoint.name],
  });
  expect(taken).toMatchObject({ requestId: training.id, attempts: before.attempts + 1 });
  signal(pidOfServer(), "SIGCONT");
  await expect.poll(() => training.trainers, { timeout }).toEqual([]);
  expect(trainers).toHaveLength(1);
  expect(await training.lease()).toMatchObject({ state: "running", lease_id: taken?.leaseId });
  if (taken !== undefined) await release(db, taken);
  await retireWorker(db, workerId);
  await training.server.until(training.id, ({ said }) => /resumed after step [1-9]/.test(said));
  await expect.poll(() => training.trainers, { timeout }).toHaveLength(1);
});

test("a server that is stopped lets the training write a checkpoint, and the next one goes on with it", async () => {
  // The loss above is forgiven with the next checkpoint.
  await expect.poll(async () => (await training.lease()).losses, { timeout }).toBe(0);
  await training.stop(stopsOfService, stopsOfNpm.command);
  await training.stop(stopsOfNpm, undefined);
  await training.cancel();
});
