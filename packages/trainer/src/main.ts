/**
 * The trainer process: `node main.js <command> <job.json>`. Reads the job, runs it, speaks events, ends with a status.
 *
 * The only process that loads libtorch. SIGINT and SIGTERM ask it to stop between two pieces of work.
 */
import { readFileSync } from "node:fs";
import {
  AppError,
  DoctorJob,
  exitCodes,
  failedEvent,
  GenerateJob,
  InspectJob,
  type JobEvent,
  ModelsJob,
  parseOptions,
  TrainJob,
  toAppError,
} from "@ltx-trainer/contract";
import { emitToStdout, Reporter } from "./events.ts";

type Command = (job: unknown, reporter: Reporter, signal: AbortSignal) => Promise<Record<string, unknown>>;

/** Each command imports what it needs: listing models does not load libtorch twice as slowly as it must. */
const commands: Readonly<Record<string, Command>> = {
  train: async (job, reporter, signal) => {
    const { runTraining } = await import("./run-job.ts");
    return runTraining(parseOptions(TrainJob, job), reporter, signal);
  },
  generate: async (job, reporter, signal) => {
    const { generateVideo } = await import("./generate.ts");
    return generateVideo(parseOptions(GenerateJob, job), reporter, signal);
  },
  inspect: async (job, reporter, signal) => {
    const { inspectDataset } = await import("./inspect.ts");
    return inspectDataset(parseOptions(InspectJob, job), reporter, signal);
  },
  doctor: async (job) => {
    parseOptions(DoctorJob, job);
    const { examine } = await import("./doctor.ts");
    return examine();
  },
  models: async (job) => {
    const { listModels } = await import("./base-models.ts");
    return listModels(parseOptions(ModelsJob, job).home);
  },
};

function readJob(path: string | undefined): unknown {
  try {
    return JSON.parse(readFileSync(path ?? "", "utf8"));
  } catch (cause) {
    throw new AppError({
      code: "invalid_options",
      message: `job file: got ${path ?? "none"}, expected the path of a JSON file`,
      cause,
    });
  }
}

/** libtorch's and the system's words for conditions a user can act on. */
function explained(error: unknown): AppError {
  const text = error instanceof Error ? error.message : String(error);
  if (/out of memory|CUDA error: out of memory/i.test(text)) {
    return new AppError({
      code: "out_of_memory",
      message: `out of memory: ${text.split("\n")[0]}`,
      remedy: "Use a lower --resolution or --number-of-frames, or --gradient-checkpointing on.",
      cause: error,
    });
  }
  if ((error as NodeJS.ErrnoException).code === "ENOSPC") {
    return new AppError({
      code: "disk_full",
      message: text,
      remedy: "Free disk space, then --resume.",
      cause: error,
    });
  }
  if (/could not load the addon/.test(text)) {
    return new AppError({
      code: "libtorch_missing",
      message: text,
      remedy: "Run `npm run setup`; `npx ltx-trainer doctor` says what is missing.",
      cause: error,
    });
  }
  return toAppError(error);
}

async function main(): Promise<number> {
  const [name = "", path] = process.argv.slice(2);
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
  const reporter = new Reporter((event) => {
    // Nobody listens any more: the command was killed. Training on unseen would hold the machine for hours.
    if (!emitToStdout(event)) stop.abort();
  });
  let last: JobEvent;
  try {
    const command = commands[name];
    if (!command) {
      const known = Object.keys(commands).join(", ");
      throw new AppError({
        code: "invalid_options",
        message: `command: got "${name}", expected one of ${known}`,
      });
    }
    last = { type: "finished", outputs: await command(readJob(path), reporter, stop.signal) };
  } catch (error) {
    const failure = explained(error);
    if (failure.kind === "internal") console.error(error);
    last = failedEvent(failure);
  }
  reporter.event(last);
  return last.type === "failed" ? last.exitCode : exitCodes.done;
}

process.exit(await main());
