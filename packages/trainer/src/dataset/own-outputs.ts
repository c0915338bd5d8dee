/**
 * Leaving out what earlier trainings wrote into a dataset's folder: `cd clips; ltx-trainer train .` makes its output folder
 * among the clips, and its videos must not be trained on, nor change what --resume finds. The scratch folder has a dot in front and is never looked into.
 */
import { outputNames } from "../job-folder.ts";

type Named = { readonly path: string };

/** What tells an output folder from one that happens to hold a `plan.json`. */
const besidePlan = ["dataset-report.json", "metrics.jsonl", "lora.safetensors", "config.json"];

/** Splits files into those of the user and those that a training wrote. Order is kept. */
export function splitOutputs<File extends Named>(
  files: readonly File[],
): { readonly own: File[]; readonly data: File[] } {
  const folders = outputFolders(files);
  const [own, data]: [File[], File[]] = [[], []];
  for (const file of files) (isOutput(file.path, folders) ? own : data).push(file);
  return { own, data };
}

/** Folders with a slash at their end, "" for the dataset's own. */
function outputFolders(files: readonly Named[]): Set<string> {
  const paths = new Set(files.map(({ path }) => path));
  const folders = new Set<string>();
  for (const path of paths) {
    const [, folder] = /^(|.*\/)plan\.json$/.exec(path) ?? [];
    if (folder !== undefined && besidePlan.some((name) => paths.has(folder + name))) folders.add(folder);
  }
  return folders;
}

function isOutput(path: string, folders: ReadonlySet<string>): boolean {
  for (const folder of folders) {
    if (!path.startsWith(folder)) continue;
    const [first = "", ...below] = path.slice(folder.length).split("/");
    const names: readonly string[] = below.length === 0 ? outputNames.files : outputNames.folders;
    if (names.includes(first)) return true;
  }
  return false;
}
