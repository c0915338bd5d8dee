/**
 * Everything around a server goes away or breaks for some seconds, at random moments over running trainings: the bucket, the
 * database, the disk's room, the device, its own event loop. Every accepted request ends as a success.
 *
 * `FAULTS=100 SEED=7 npm run test:long` has more of them, or another order. The disk is filled only where a small one can be
 * mounted (as root); elsewhere the run says that it was left out.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { openDatabase } from "../../packages/server/src/db/database.ts";
import { EmbeddedPostgres } from "../../packages/server/src/postgres/embedded-postgres.ts";
import { startBucket, type TestBucket } from "../../packages/server/src/testing/bucket.ts";
import { signal } from "../../packages/server/src/testing/long-training.ts";
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

/** Disks of runs that were killed before they could unmount theirs. */
function unmountLeftovers(): void {
  const disks = /\S+\/ltx-world-(\d+)-\w+\/disk(?= )/g;
  for (const [disk, pid] of readFileSync("/proc/mounts", "utf8").matchAll(disks)) {
    try {
      process.kill(Number(pid), 0);
    } catch {
      execFileSync("umount", ["-l", disk]);
      rmSync(dirname(disk), { recursive: true, force: true });
    }
  }
}

/** A small disk for everything the server writes; undefined where none can be mounted. */
function mountDisk(folder: string): string | undefined {
  const disk = join(folder, "disk");
  mkdirSync(disk);
  try {
    unmountLeftovers();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=600m,mode=755", "tmpfs", disk], { stdio: "ignore" });
  } catch {
    console.warn(
      "LEFT OUT: the full disk. A small disk cannot be mounted here; run this as root on Linux to have it.",
    );
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
      for (const pid of processesWith(`${home}/requests/`)) signal(pid, "SIGTERM");
      await delay(awayMs);
      rmSync(mark);
    },
    database: async () => {
      const pids = familyOf(new EmbeddedPostgres(home, silent).pid);
      for (const pid of pids) signal(pid, "SIGSTOP");
      await delay(awayMs);
      for (const pid of pids) signal(pid, "SIGCONT");
    },
    loop: async () => {
      signal(server.child.pid, "SIGUSR2");
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

async function openScene(): Promise<{ readonly scene: Scene; readonly input: unknown }> {
  const folder = mkdtempSync(join(tmpdir(), `ltx-world-${process.pid}-`));
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
  const environment = {
    ...prepared.environment,
    S3_BUCKET: bucket.name,
    S3_ENDPOINT: bucket.endpoint,
    AWS_ACCESS_KEY_ID: "S3RVER",
    AWS_SECRET_ACCESS_KEY: "S3RVER",
  };
  const server = await ServerProcess.start(environment, prepared.authorization);
  ended.push(() => server.kill());
  const home = environment.LTX_TRAINER_HOME;
  return { scene: { folder, disk, mark, home, server, bucket }, input: prepared.input };
}

/** Every kind once in random order, then again: none is left out by chance. */
function* order(kinds: readonly string[], random: () => number): Generator<string> {
  for (;;) {
    const left = [...kinds];
    while (left.length > 0) yield* left.splice(Math.floor(random() * left.length), 1);
  }
}

/** @returns bytes */
async function downloaded({ url }: ServerProcess, file: { readonly url: string }): Promise<number> {
  const { pathname } = new URL(file.url);
  return (await (await fetch(url + pathname)).arrayBuffer()).byteLength;
}

test(`after ${faults} failures of the world every request has succeeded`, async () => {
  const { scene, input } = await openScene();
  const { server, home } = scene;
  const started = performance.now();
  const break_ = faultsOf(scene);
  const counts = Object.fromEntries(Object.keys(break_).map((kind) => [kind, 0]));
  const random = randomNumbers(seed);
  const kinds = order(Object.keys(break_), random);
  const accepted: string[] = [];
  for (let done = 0; done < faults; done++) {
    const open = await Promise.all(accepted.slice(-3).map(async (id) => (await server.status(id)).status));
    if (open.filter((status) => status !== "COMPLETED").length < 2) accepted.push(await server.submit(input));
    await delay(random() * longestPauseMs);
    const kind = kinds.next().value;
    await break_[kind]?.();
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  for (const id of accepted) while ((await server.status(id)).status !== "COMPLETED") await delay(250);
  let resumed = 0;
  for (const id of accepted) {
    const output = await server.output(id);
    for (const file of [output.lora_file, output.lora_file_comfyui]) {
      if (file) expect(await downloaded(server, file), id).toBe(file.file_size);
    }
    if (/resumed after step \d|could not go on|Publishing again/.test((await server.status(id)).said))
      resumed++;
  }
  const db = openDatabase(new EmbeddedPostgres(home, silent).address, { connections: 1, log: silent });
  ended.push(() => db.destroy());
  const states = await db.selectFrom("requests").select("state").execute();
  expect(states.map(({ state }) => state)).toEqual(accepted.map(() => "succeeded"));
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(
    `${JSON.stringify(counts)}, ${accepted.length} requests, all succeeded, ${resumed} of them after trouble; ${seconds} s`,
  );
});
