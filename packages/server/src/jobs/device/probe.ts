/** Checks whether this server can run jobs: disk, file store, and a trainer on the device. */
import { mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError, DoctorOutputs } from "@ltx-trainer/contract";
import { startTrainer } from "@ltx-trainer/host";
import type { Config } from "../../config/config.ts";
import type { FileStore } from "../../storage/stores/file-store.ts";
import type { Confinement } from "../confine/confinement.ts";
import { liveTrainers } from "../confine/leftovers.ts";
import type { Fault } from "./health.ts";

export type ProbeContext = {
  readonly config: Pick<Config, "home" | "base" | "storage" | "trainerEnvironment">;
  readonly store: Pick<FileStore, "check">;
  readonly confinement: Confinement;
};

/** `doctor` takes seconds. One that hangs counts as failed. */
const trainerTimeMs = 120_000;
const storeTimeMs = 20_000;

/** @returns the first fault, or undefined when a job can start */
export async function probe(device: string, context: ProbeContext): Promise<Fault | undefined> {
  return (
    (await diskFault(context.config)) ??
    (await storeFault(context.store)) ??
    (await trainerFault(device, context))
  );
}

/** Checks the free space and that the data folder is writable. */
export async function diskFault({
  home,
  storage,
}: Pick<Config, "home" | "storage">): Promise<Fault | undefined> {
  const folder = join(home, "requests");
  const file = join(folder, `.probe-${process.pid}`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(file, Buffer.alloc(4096), { mode: 0o600, flush: true });
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    if (free >= storage.diskReserveBytes) return undefined;
    return { reason: "disk full", detail: { folder, free, expected: storage.diskReserveBytes } };
  } catch (error) {
    const isFull = (error as NodeJS.ErrnoException).code === "ENOSPC";
    return { reason: isFull ? "disk full" : "data folder cannot be written to", detail: error };
  } finally {
    await rm(file, { force: true }).catch(() => {});
  }
}

/** A store that does not answer in time counts as unavailable. */
export async function storeFault(store: Pick<FileStore, "check">): Promise<Fault | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Fault>((resolve) => {
    timer = setTimeout(() => resolve({ reason: "file store does not answer" }), storeTimeMs);
  });
  const answer = store.check().then(
    () => undefined,
    (error: unknown): Fault => ({ reason: "file store unavailable", detail: error }),
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function trainerFault(
  device: string,
  { config, confinement }: Pick<ProbeContext, "config" | "confinement">,
): Promise<Fault | undefined> {
  const { home, base } = config;
  let timer: NodeJS.Timeout | undefined;
  let pid: number | undefined;
  try {
    const trainer = startTrainer({
      command: "doctor",
      job: { home, device, ...(base === undefined ? {} : { base }) },
      env: config.trainerEnvironment,
      confinement,
      onEvent: () => {},
      onNoise: () => {},
    });
    pid = trainer.pid;
    if (pid !== undefined) liveTrainers.add(pid);
    timer = setTimeout(() => trainer.kill(), trainerTimeMs);
    const { checks } = DoctorOutputs.parse(await trainer.outputs);
    const failed = checks.find(({ status }) => status === "fail");
    return failed === undefined ? undefined : { reason: `${failed.name} failed`, detail: failed };
  } catch (error) {
    const reason = error instanceof AppError ? error.code : "internal";
    return { reason: `trainer failed (${reason})`, detail: error };
  } finally {
    clearTimeout(timer);
    if (pid !== undefined) liveTrainers.delete(pid);
  }
}
