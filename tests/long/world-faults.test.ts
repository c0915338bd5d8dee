/**
 * Everything around a server goes away or breaks for some seconds, at random moments over running trainings: the bucket, the
 * database, the disk's room, the device, its own event loop. Every accepted request ends as a success.
 *
 * `FAULTS=100 SEED=7 npm run test:long` has more of them, or another order. The disk is filled where a small one can be
 * mounted (as root).
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { openDatabase } from "../../packages/server/src/db/database.ts";
import { EmbeddedPostgres } from "../../packages/server/src/postgres/embedded-postgres.ts";
import { startBucket, type TestBucket } from "../../packages/server/src/testing/bucket.ts";
import { silent } from "../../packages/server/src/testing/postgres.ts";
import { familyOf, processesWith } from "../../packages/server/src/testing/processes.ts";
import { preparedFolder, ServerProcess } from "../../packages/server/src/testing/server-process.ts";

const faults = Number(process.env.FAULTS ?? 30);
const seed = Number(process.env.SEED ?? 1);
const awayMs = 4_000;
const longestPauseMs = 6_000;
const trainer = fileURLToPath(new URL("../../packages/trainer/dist/main.js", import.meta.url));
const ended: (() => unknown)[] = [];

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

/** A small disk for everything the server writes; undefined where none can be mounted. */
function mountDisk(folder: string): string | undefined {
  const disk = join(folder, "disk");
  mkdirSync(disk);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=600m,mode=755", "tmpfs", disk], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  ended.push(() => execFileSync("umount", ["-l", disk]));
  return disk;
}

/** The real trainer, but for the time that the mark is there: then it cannot start. */
function faultyTrainer(folder: string): { readonly program: string; readonly mark: string } {
  const [program, mark] = [join(folder, "trainer.mjs"), join(folder, "broken")];
  writeFileSync(
    program,
    `import { existsSync } from "node:fs";
     if (existsSync(${JSON.stringify(mark)})) throw new Error("libtorch is not there");
     await import(${JSON.stringify(trainer)});`,
  );
  return { program, mark };
}

/** A preload that blocks the main thread at SIGUSR2. */
function stallingPreload(folder: string): string {
  const path = join(folder, "stall.cjs");
  writeFileSync(
    path,
    `if (require("node:worker_threads").isMainThread)
       process.on("SIGUSR2", () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${4 * awayMs}));`,
  );
  return path;
}

type Scene = {
  readonly folder: string;
  readonly disk: string | undefined;
  /** While this file is there, trainers cannot start. */
  readonly mark: string;
  readonly home: string;
  readonly server: ServerProcess;
  readonly bucket: TestBucket;
};

/** What can go wrong; each is over when its promise is. */
function faultsOf(scene: Scene): Readonly<Record<string, () => Promise<void>>> {
  const { folder, disk, mark, home, server } = scene;
  let { bucket } = scene;
  ended.push(() => bucket.close());
  return {
    bucket: async () => {
      const port = Number(new URL(bucket.endpoint).port);
      await bucket.close();
      await delay(awayMs);
      bucket = await startBucket("media", join(folder, "bucket"), port);
    },
    device: async () => {
      writeFileSync(mark, "");
      for (const pid of processesWith(`${home}/requests/`)) process.kill(pid, "SIGTERM");
      await delay(awayMs);
      rmSync(mark);
    },
    database: async () => {
      const [postmaster = 0] = processesWith(`bin/postgres -D ${home}/postgres/data`);
      const pids = familyOf(postmaster);
      for (const pid of pids) process.kill(pid, "SIGSTOP");
      await delay(awayMs);
      for (const pid of pids) process.kill(pid, "SIGCONT");
    },
    loop: async () => {
      process.kill(server.child.pid ?? 0, "SIGUSR2");
      await delay(awayMs);
    },
    ...(disk === undefined
      ? {}
      : {
          disk: async () => {
            const filler = join(disk, "filler");
            try {
              execFileSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=1M"], { stdio: "ignore" });
            } catch {
              // It ends when the disk is full: that is what it is for.
            }
            await delay(awayMs);
            rmSync(filler);
          },
        }),
  };
}

test(`after ${faults} failures of the world every request has succeeded`, async () => {
  const folder = mkdtempSync(join(tmpdir(), "ltx-world-"));
  ended.push(() => rmSync(folder, { recursive: true, force: true }));
  const disk = mountDisk(folder);
  const { program, mark } = faultyTrainer(folder);
  const bucket = await startBucket("media", join(folder, "bucket"));
  const before = process.env.TMPDIR;
  if (disk !== undefined) process.env.TMPDIR = disk;
  const prepared = await preparedFolder({
    CHECKPOINT_INTERVAL: "10",
    RETRY_SECONDS: "0.5",
    LEASE_SECONDS: "10",
    DISK_RESERVE_BYTES: "20000000",
    LTX_TRAINER_PROGRAM: program,
    NODE_OPTIONS: `--require=${stallingPreload(folder)}`,
  });
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  ended.push(prepared.end);
  const { input, authorization } = prepared;
  const environment = {
    ...prepared.environment,
    S3_BUCKET: bucket.name,
    S3_ENDPOINT: bucket.endpoint,
    AWS_ACCESS_KEY_ID: "S3RVER",
    AWS_SECRET_ACCESS_KEY: "S3RVER",
  };
  const home = environment.LTX_TRAINER_HOME;
  const server = await ServerProcess.start(environment, authorization);
  ended.push(() => server.kill());
  const break_ = faultsOf({ folder, disk, mark, home, server, bucket });
  const kinds = Object.keys(break_);
  const counts = Object.fromEntries(kinds.map((kind) => [kind, 0]));
  const random = randomNumbers(seed);
  const accepted: string[] = [];
  for (let done = 0; done < faults; done++) {
    const open = await Promise.all(accepted.slice(-3).map(async (id) => (await server.status(id)).status));
    if (open.filter((status) => status !== "COMPLETED").length < 2) accepted.push(await server.submit(input));
    await delay(random() * longestPauseMs);
    const kind = kinds[Math.floor(random() * kinds.length)] ?? "loop";
    await break_[kind]?.();
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  for (const id of accepted) while ((await server.status(id)).status !== "COMPLETED") await delay(250);
  for (const id of accepted) {
    const output = await server.output(id);
    const { pathname } = new URL(output.lora_file.url);
    const bytes = await (await fetch(server.url + pathname)).arrayBuffer();
    expect(bytes.byteLength, id).toBe(output.lora_file.file_size);
  }
  const db = openDatabase(new EmbeddedPostgres(home, silent).address, { connections: 1, log: silent });
  ended.push(() => db.destroy());
  const states = await db.selectFrom("requests").select("state").execute();
  expect(new Set(states.map(({ state }) => state))).toEqual(new Set(["succeeded"]));
  console.log(`${JSON.stringify(counts)}, ${accepted.length} requests, all succeeded`);
});
