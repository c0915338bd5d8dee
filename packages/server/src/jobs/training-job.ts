/** From a request's input to the trainer's job. */
import { parseOptions, TrainingInput, TrainJob } from "@ltx-trainer/contract";
import type { Config } from "../config/config.ts";
import { type InputFileDeps, storedPath } from "../storage/input-files.ts";
import type { Confinement } from "./confine/confinement.ts";
import type { RequestFolder } from "./confine/request-folder.ts";

type Circumstances = {
  readonly folder: RequestFolder;
  readonly device: string;
  readonly config: Pick<Config, "home" | "base" | "checkpointInterval" | "storage">;
  /** From 1. */
  readonly attempts: number;
  readonly inputFiles: InputFileDeps;
  readonly confinement: Confinement;
};

/**
 * The job. Files of our own storage are given to the trainer as paths; everything else it fetches itself, from where the
 * configuration lets it.
 *
 * @throws AppError `invalid_options` when the input is not one that was accepted; `source_not_found`
 */
export async function trainingJob(
  input: unknown,
  { folder, device, config, attempts, inputFiles, confinement }: Circumstances,
): Promise<TrainJob> {
  const parsed = parseOptions(TrainingInput, input);
  const names: Record<string, string> = {};
  const localOf = async (source: string) => {
    const stored = await storedPath(source, inputFiles);
    if (stored === undefined) return source;
    const path = await confinement.readable(stored, folder.inputs);
    const { origin, pathname } = new URL(source);
    names[path] = `${origin}${pathname}`;
    return path;
  };
  const validation = await Promise.all(
    parsed.validation.map(async ({ image_url: image, ...item }) => ({
      ...item,
      ...(image ? { image_url: await localOf(image) } : {}),
    })),
  );
  return parseOptions(TrainJob, {
    ...parsed,
    training_data_url: await localOf(parsed.training_data_url),
    validation,
    out: folder.output,
    home: config.home,
    base: config.base,
    device,
    checkpoint_interval: config.checkpointInterval,
    resume: attempts > 1,
    on_bad_checkpoint: "restart",
    address_policy: config.storage.downloadAddresses,
    source_names: names,
  });
}
