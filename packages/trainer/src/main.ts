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
} from "@ltx-trainer/contract";
import { emitToStdout, Reporter } from "./process/events.ts";
import { toFailure } from "./process/failures.ts";

type Command = (job: unknown, reporter: Reporter, signal: AbortSignal) => Promise<Record<string, unknown>>;

/** Each command imports what it needs: listing models does not load libtorch twice as slowly as it must. */
const commands: Readonly<Record<string, Command>> = {
  train: async (job, reporter, signal) => {
    const { runTraining } = await import("./run-job.ts");
    return runTraining(parseOptions(TrainJob, job), reporter, signal);
  },
  generate: async (job, reporter, signal) => {
    const { generateVideo } = await import("./sampling/generate.ts");
    return generateVideo(parseOptions(GenerateJob, job), reporter, signal);
  },
  inspect: async (job, reporter, signal) => {
    const { inspectDataset } = await import("./inspect.ts");
    return inspectDataset(parseOptions(InspectJob, job), reporter, signal);
  },
  doctor: async (job) => {
    const { examine } = await import("./models/doctor.ts");
    return examine(parseOptions(DoctorJob, job));
  },
  models: async (job) => {
    const { listModels } = await import("./models/base-models.ts");
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

/** The folders a job writes to, also of one that was refused. */
function foldersOf(job: unknown): { readonly out?: string; readonly home?: string } {
  const { out, home } = (job ?? {}) as Record<string, unknown>;
  return { ...(typeof out === "string" && { out }), ...(typeof home === "string" && { home }) };
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
  let job: unknown;
  try {
    const command = commands[name];
    if (!command) {
      const known = Object.keys(commands).join(", ");
      throw new AppError({
        code: "invalid_options",
        message: `command: got "${name}", expected one of ${known}`,
      });
    }
    job = readJob(path);
    last = { type: "finished", outputs: await command(job, reporter, stop.signal) };
  } catch (error) {
    const { written } = reporter;
    const failure = toFailure(error, { command: name, signal: stop.signal, written, ...foldersOf(job) });
    // For whoever runs this machine. Events may be read by strangers.
    if (failure.kind === "internal") console.error(error);
    last = failedEvent(failure);
  }
  reporter.event(last);
  return last.type === "failed" ? last.exitCode : exitCodes.done;
}

// Stdout is for events. Decoders print there what they think of damaged files.
console.log = console.error;

process.exit(await main());
