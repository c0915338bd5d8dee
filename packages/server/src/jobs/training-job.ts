/** From a request's input to the trainer's job. */
import { parseOptions, TrainingInput, TrainJob } from "@ltx-trainer/contract";
import type { Config } from "../config.ts";
import type { RequestFolder } from "./request-folder.ts";

type Circumstances = {
  readonly folder: RequestFolder;
  readonly device: string;
  readonly config: Pick<Config, "home" | "base" | "checkpointInterval">;
  /** From 1. */
  readonly attempts: number;
};

/** @throws AppError `invalid_options` when the input is not one that was accepted */
export function trainingJob(input: unknown, { folder, device, config, attempts }: Circumstances): TrainJob {
  return parseOptions(TrainJob, {
    ...parseOptions(TrainingInput, input),
    out: folder.output,
    home: config.home,
    base: config.base,
    device,
    checkpoint_interval: config.checkpointInterval,
    resume: attempts > 1,
  });
}
