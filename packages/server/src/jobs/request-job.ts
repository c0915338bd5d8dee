/** Turns a request's input into the job of its endpoint's command. */
import { parseOptions } from "@ltx-trainer/contract";
import type { Config } from "../config/config.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import { type InputFileDeps, storedPath } from "../storage/input-files.ts";
import { filesIn, withFileAt } from "../wire/files-in.ts";
import type { Confinement } from "./confine/confinement.ts";
import type { RequestFolder } from "./confine/request-folder.ts";

type RequestJobDeps = {
  readonly endpoint: Endpoint;
  readonly folder: RequestFolder;
  readonly device: string;
  readonly config: Pick<Config, "home" | "base" | "checkpointInterval" | "storage">;
  /** From 1. */
  readonly attempts: number;
  readonly inputFiles: InputFileDeps;
  readonly confinement: Confinement;
};

/**
 * Makes the job. Files in the server's own store become paths. The command downloads all others itself, from the addresses
 * that the configuration allows.
 *
 * @throws AppError `invalid_options` when the input does not fit the endpoint's schema; `source_not_found`
 */
export async function makeJob(
  input: unknown,
  { endpoint, folder, device, config, attempts, inputFiles, confinement }: RequestJobDeps,
): Promise<Readonly<Record<string, unknown>>> {
  const sourceNames: Record<string, string> = {};
  let local: unknown = parseOptions(endpoint.input, input);
  for (const { place, value: source } of filesIn(local, endpoint.files)) {
    if (typeof source !== "string" || source === "") continue;
    const stored = await storedPath(source, inputFiles);
    if (stored === undefined) continue;
    const path = await confinement.readable(stored, folder.inputs);
    const { origin, pathname } = new URL(source);
    sourceNames[path] = `${origin}${pathname}`;
    local = withFileAt(local, place, path);
  }
  return endpoint.toJob(local, {
    out: folder.output,
    home: config.home,
    base: config.base,
    device,
    checkpointInterval: config.checkpointInterval,
    resume: attempts > 1,
    addressPolicy: config.storage.downloadAddresses,
    sourceNames,
  });
}
