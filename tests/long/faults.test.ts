/**
 * kill -9 of the server, of trainers and of PostgreSQL at random moments over running trainings and uploads: nothing that was
 * accepted is lost, nothing ends twice, and what was resumed has the bits of what was not.
 *
 * `FAULTS=200 SEED=7 npm run test:long` kills more often, or in another order.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { TrainingOutput } from "@ltx-trainer/contract";
import { afterEach, expect, test } from "vitest";
import { type Database, openDatabase } from "../../packages/server/src/db/database.ts";
import { EmbeddedPostgres } from "../../packages/server/src/postgres/embedded-postgres.ts";
import { DiskStore } from "../../packages/server/src/storage/stores/disk-store.ts";
import { hashOfAnswer, type Initiated, put, sha256 } from "../../packages/server/src/testing/file-client.ts";
import { silent } from "../../packages/server/src/testing/postgres.ts";
import { processesWith } from "../../packages/server/src/testing/processes.ts";
import { Receiver } from "../../packages/server/src/testing/receiver.ts";
import { preparedFolder, ServerProcess } from "../../packages/server/src/testing/server-process.ts";
import { QueueStatus } from "../../packages/server/src/wire/queue.ts";

const faults = Number(process.env.FAULTS ?? 50);
const seed = Number(process.env.SEED ?? 1);
/** Long enough for checkpoints in between: what is lost twice without one fails, and then shows nothing about resuming. */
const longestPauseMs = 8_000;
/** With fewer, none may happen to hit a training that has a checkpoint. */
const enoughToResume = 30;
const endpoint = "/queue/fal-ai/ltx-video-trainer";
const ended: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

/** Numbers from 0 to 1, the same for the same seed. Source: mulberry32, public domain. */
function randomNumbers(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A service that is killed and started again, its clients, and the receiver of its webhooks. */
class Scene {
  readonly accepted: string[] = [];
  /** Uploads that were answered with 200: path and what was sent. */
  readonly uploaded: { readonly path: string; readonly hash: string }[] = [];
  readonly receiver: Receiver;
  readonly #folder: Awaited<ReturnType<typeof preparedFolder>>;
  #server: ServerProcess;

  private constructor(
    folder: Awaited<ReturnType<typeof preparedFolder>>,
    receiver: Receiver,
    server: ServerProcess,
  ) {
    this.#folder = folder;
    this.receiver = receiver;
    this.#server = server;
  }

  static async open(): Promise<Scene> {
    const folder = await preparedFolder({
      CHECKPOINT_INTERVAL: "10",
      WEBHOOK_PRIVATE_TARGETS: "true",
      WEBHOOK_RETRY_SECONDS: "0.5",
    });
    ended.push(folder.end);
    const receiver = await Receiver.start();
    ended.push(() => receiver.stop());
    const server = await ServerProcess.start(folder.environment, folder.authorization);
    const scene = new Scene(folder, receiver, server);
    ended.push(() => scene.#server.kill());
    return scene;
  }

  get home(): string {
    return this.#folder.environment.LTX_TRAINER_HOME;
  }

  database(): Database {
    const db = openDatabase(new EmbeddedPostgres(this.home, silent).address, { connections: 2, log: silent });
    ended.push(() => db.destroy());
    return db;
  }

  /** Submits until an id has come back: only then was a request accepted. */
  async submit(): Promise<void> {
    const webhook = encodeURIComponent(`http://127.0.0.1:${this.receiver.port}/`);
    const answer = await this.#server.json("POST", `${endpoint}?fal_webhook=${webhook}`, this.#folder.input);
    this.accepted.push(QueueStatus.parse(answer).request_id);
  }

  /** Uploads one file after the other; those that a kill cuts off were never acknowledged. */
  async uploadUntil(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const bytes = randomBytes(300_000);
      try {
        const initiated = await this.#server.json("POST", "/rest/storage/upload/initiate", {
          content_type: "application/zip",
          file_name: "clips.zip",
        });
        const { upload_url, file_url } = initiated as Initiated;
        if (upload_url === undefined) throw new TypeError(JSON.stringify(initiated));
        const response = await put(upload_url, bytes, { "content-type": "application/zip" });
        if (response.status === 200) {
          const { pathname, search } = new URL(file_url);
          this.uploaded.push({ path: pathname + search, hash: sha256(bytes) });
        }
      } catch (error) {
        // fetch throws a TypeError when the connection ends or is refused; anything else is a defect.
        if (!(error instanceof TypeError)) throw error;
      }
      await delay(200);
    }
  }

  /** What a client reads there now; the server's port changes with every start. */
  async hashAt(path: string): Promise<string> {
    return hashOfAnswer(await fetch(this.#server.url + path));
  }

  status(id: string): Promise<{ readonly status: string; readonly said: string }> {
    return this.#server.status(id);
  }

  result(id: string): Promise<unknown> {
    return this.#server.json("GET", `${endpoint}/requests/${id}`);
  }

  /** @returns whether there was something to kill */
  async kill(victim: "server" | "trainer" | "postgres"): Promise<boolean> {
    if (victim === "server") {
      await this.#server.kill();
      this.#server = await ServerProcess.start(this.#folder.environment, this.#folder.authorization);
      return true;
    }
    const pids =
      victim === "trainer"
        ? processesWith(`${this.home}/requests/`).slice(0, 1)
        : [new EmbeddedPostgres(this.home, silent).pid].filter((pid) => pid !== undefined);
    for (const pid of pids) process.kill(pid, "SIGKILL");
    return pids.length > 0;
  }
}

test(`after ${faults} kills every request has one end, one LoRA and its webhook, and every upload is there`, async () => {
  const scene = await Scene.open();
  const random = randomNumbers(seed);
  const counts = { server: 0, trainer: 0, postgres: 0 };
  const victims = ["server", "trainer", "postgres"] as const;
  let isOver = false;
  const uploading = scene.uploadUntil(() => isOver);
  for (let done = 0; done < faults; ) {
    const unfinished = await Promise.all(
      scene.accepted.slice(-3).map(async (id) => (await scene.status(id)).status),
    );
    if (unfinished.filter((status) => status !== "COMPLETED").length < 2) await scene.submit();
    await delay(random() * longestPauseMs);
    const victim = victims[Math.floor(random() * victims.length)] ?? "server";
    if (!(await scene.kill(victim))) continue;
    counts[victim]++;
    done++;
  }
  isOver = true;
  await uploading;
  await Promise.all(scene.accepted.map((id) => completed(scene, id)));
  await checkUploads(scene);
  const hashes = await checkEnds(scene);
  await checkWebhooks(scene);
  console.log(
    `${JSON.stringify(counts)}, ${scene.accepted.length} requests, ${hashes.length} trained to the end, ` +
      `${scene.uploaded.length} uploads acknowledged`,
  );
});

async function completed(scene: Scene, id: string): Promise<void> {
  while ((await scene.status(id)).status !== "COMPLETED") await delay(250);
}

async function checkUploads(scene: Scene): Promise<void> {
  expect(scene.uploaded.length).toBeGreaterThan(faults);
  for (const { path, hash } of scene.uploaded) expect(await scene.hashAt(path), path).toBe(hash);
}

/**
 * Every request has a result that stays as it is: files of one and the same LoRA, or, for those whose runner was lost twice
 * without a checkpoint in between, the documented failure.
 */
async function checkEnds(scene: Scene): Promise<string[]> {
  const db = scene.database();
  const store = new DiskStore(scene.home);
  const hashes: string[] = [];
  let resumed = 0;
  for (const id of scene.accepted) {
    const [result, again] = [await scene.result(id), await scene.result(id)];
    expect(again).toEqual(result);
    const row = await db.selectFrom("requests").selectAll().where("id", "=", id).executeTakeFirstOrThrow();
    if (row.state === "failed") {
      expect(row.error_type).toBe("runner_disconnected");
      continue;
    }
    expect(row.state).toBe("succeeded");
    const { lora_file: lora, video, video_error: reason } = TrainingOutput.parse(result);
    const files = await db.selectFrom("files").selectAll().where("request_id", "=", id).execute();
    // The LoRA in both formats, its configuration, and the video: none when the trainer was killed while it made that.
    expect(files).toHaveLength(video === null ? 3 : 4);
    expect(reason === undefined).toBe(video !== null);
    const file = files.find(({ name }) => lora.url.endsWith(name));
    const bytes = readFileSync(await store.locate(file?.id ?? ""));
    expect(bytes).toHaveLength(lora.file_size ?? -1);
    hashes.push(createHash("sha256").update(bytes).digest("hex"));
    if (/resumed after step \d/.test((await scene.status(id)).said)) resumed++;
  }
  expect(hashes.length).toBeGreaterThan(1);
  expect(new Set(hashes).size).toBe(1);
  if (faults >= enoughToResume) expect(resumed).toBeGreaterThan(0);
  else console.warn(`${faults} kills: whether a training was resumed after one was left to chance`);
  return hashes;
}

/** Each was told at least once, and always the same. */
async function checkWebhooks(scene: Scene): Promise<void> {
  const db = scene.database();
  const pending = () =>
    db.selectFrom("webhook_deliveries").select("id").where("state", "!=", "delivered").execute();
  await expect.poll(pending, { timeout: 200_000, interval: 500 }).toEqual([]);
  for (const id of scene.accepted) {
    const bodies = scene.receiver.received.map(({ body }) => body).filter((body) => body.includes(id));
    expect(bodies.length).toBeGreaterThan(0);
    expect(new Set(bodies).size).toBe(1);
    expect(JSON.parse(bodies[0] ?? "").payload).toEqual(await scene.result(id));
  }
}
