/**
 * The service under load, on the machine that trains. What is asserted is that every answer is right; how fast they were is
 * printed, because that depends on the machine.
 */
import { availableParallelism } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import autocannon from "autocannon";
import { v4 as uuidv4 } from "uuid";
import { afterEach, expect, test } from "vitest";
import { type Database, openDatabase } from "../../packages/server/src/db/database.ts";
import { claim } from "../../packages/server/src/db/requests/leases.ts";
import { fail } from "../../packages/server/src/db/requests/transitions.ts";
import { registerWorker } from "../../packages/server/src/db/workers.ts";
import { EmbeddedPostgres } from "../../packages/server/src/postgres/embedded-postgres.ts";
import { silent } from "../../packages/server/src/testing/postgres.ts";
import { preparedFolder, ServerProcess } from "../../packages/server/src/testing/server-process.ts";
import { trainerEndpoint } from "../../packages/server/src/testing/trainer-endpoint.ts";
import { QueueStatus } from "../../packages/server/src/wire/queue.ts";
import { lostFailure } from "../../packages/server/src/wire/request-failures.ts";

const endpoint = "/queue/fal-ai/ltx-video-trainer";
const connections = 50;
const seconds = 10;
const ended: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

async function startServer(settings: Readonly<Record<string, string>>) {
  const folder = await preparedFolder(settings);
  ended.push(folder.end);
  const server = await ServerProcess.start(
    { ...folder.environment, LOG_LEVEL: "info" },
    folder.authorization,
  );
  ended.push(() => server.kill());
  const { address } = new EmbeddedPostgres(folder.environment.LTX_TRAINER_HOME, silent);
  const db = openDatabase(address, { connections: 2, log: silent });
  ended.push(() => db.destroy());
  return { server, input: folder.input, db };
}

/** Mean seconds of the steps that ended in the last `lastSeconds`. */
async function secondsPerStep(db: Database, id: string, lastSeconds: number): Promise<number> {
  const since = new Date(Date.now() - lastSeconds * 1000);
  const rows = await db
    .selectFrom("request_metrics")
    .select("seconds_per_step")
    .where("request_id", "=", id)
    .where("at", ">", since)
    .execute();
  return rows.reduce((sum, row) => sum + row.seconds_per_step, 0) / rows.length;
}

async function poll(server: ServerProcess, path: string): Promise<autocannon.Result> {
  const result = await autocannon({
    url: server.url + path,
    connections,
    duration: seconds,
    headers: { authorization: server.authorization },
  });
  expect({ errors: result.errors, timeouts: result.timeouts, other: result.non2xx }).toEqual({
    errors: 0,
    timeouts: 0,
    other: 0,
  });
  return result;
}

const told = ({ requests, latency }: autocannon.Result) =>
  `${Math.round(requests.average)} requests/s, p50 ${latency.p50} ms, p99 ${latency.p99} ms, longest ${latency.max} ms`;

/** What trains meanwhile: a model whose steps take milliseconds on one thread, and one that fills the cores. */
const trainings: [string, Readonly<Record<string, string>>][] = [
  ["the tests' tiny model trains on one thread", {}],
  [
    "ltx-nano trains on every core",
    { LTX_TRAINER_BASE: "ltx-nano", OMP_NUM_THREADS: `${availableParallelism()}` },
  ],
];

test.each(trainings)("status is polled by 50 connections at full speed, while %s", async (what, settings) => {
  const { server, input, db } = await startServer(settings);
  const id = await server.submit({ ...input, number_of_steps: 20_000 });
  const status = `${endpoint}/requests/${id}/status`;
  await server.until(id, ({ said }) => /^Step [1-9]/m.test(said));
  await delay(seconds * 1000);
  const alone = await secondsPerStep(db, id, seconds - 2);
  const plain = await poll(server, status);
  const polled = await secondsPerStep(db, id, seconds - 2);
  const withLogs = await poll(server, `${status}?logs=1`);
  expect((await server.status(id)).status).toBe("IN_PROGRESS");
  await server.json("PUT", `${endpoint}/requests/${id}/cancel`);
  await server.until(id, (now) => now.status === "COMPLETED");
  const quiet = await poll(server, status);
  console.log(
    [
      `polling while ${what}: ${told(plain)}`,
      `the same with logs: ${told(withLogs)}`,
      `polling with nothing else: ${told(quiet)}`,
      `a step: ${(alone * 1000).toFixed(1)} ms alone, ${(polled * 1000).toFixed(1)} ms while polled`,
    ].join("\n"),
  );
});

test("1,000 requests queue up and are drained by priority, then by arrival", async () => {
  const { server, db } = await startServer({ LTX_TRAINER_DEVICES: "" });
  const requests: { id: string; isLow: boolean }[] = [];
  for (let index = 0; index < 1000; index++) {
    const isLow = index % 3 === 1;
    const response = await fetch(server.url + endpoint, {
      method: "POST",
      headers: { authorization: server.authorization, "x-fal-queue-priority": isLow ? "low" : "normal" },
      body: JSON.stringify({ training_data_url: `https://example.com/${index}.zip` }),
    });
    requests.push({ id: QueueStatus.parse(await response.json()).request_id, isLow });
  }
  const expected = [...requests.filter(({ isLow }) => !isLow), ...requests.filter(({ isLow }) => isLow)];
  const asked = performance.now();
  const positions = await Promise.all(
    expected.map(
      async ({ id }) => (await server.json("GET", `${endpoint}/requests/${id}/status`)) as QueueStatus,
    ),
  );
  const askedMs = performance.now() - asked;
  expect(positions.map((status) => "queue_position" in status && status.queue_position)).toEqual([
    ...expected.keys(),
  ]);
  const workerId = uuidv4();
  await registerWorker(db, { id: workerId, devices: [] });
  const drained: string[] = [];
  for (;;) {
    const request = await claim(db, {
      workerId,
      leaseId: uuidv4(),
      leaseSeconds: 60,
      endpoints: [trainerEndpoint.name],
    });
    if (request === undefined) break;
    drained.push(request.requestId);
    await fail(db, request, lostFailure);
  }
  expect(drained).toEqual(expected.map(({ id }) => id));
  console.log(`1,000 positions in ${Math.round(askedMs)} ms`);
});

test("200 streams of one training all see it to its end, with every line once", async () => {
  const { server, input } = await startServer({});
  const id = await server.submit(input);
  const url = `${server.url}${endpoint}/requests/${id}/status/stream?logs=1`;
  const headers = { authorization: server.authorization };
  const streams = await Promise.all(Array.from({ length: 200 }, () => fetch(url, { headers })));
  const seen = await Promise.all(streams.map(linesOf));
  const { logs } = QueueStatus.parse(await server.json("GET", `${endpoint}/requests/${id}/status?logs=1`));
  const all = (logs ?? []).map(({ message }) => message);
  expect(all.length).toBeGreaterThan(5);
  for (const lines of seen) expect(lines).toEqual(all);
});

/** The log lines of a stream that goes on to COMPLETED. */
async function linesOf(response: Response): Promise<string[]> {
  const events = (await response.text())
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => QueueStatus.parse(JSON.parse(line.slice(6))));
  expect(events.at(-1)?.status).toBe("COMPLETED");
  return events.flatMap(({ logs }) => (logs ?? []).map(({ message }) => message));
}
