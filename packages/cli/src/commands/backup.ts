/** `ltx-trainer backup` and `ltx-trainer restore`. */
import { type BackupAction, BackupResult } from "@ltx-trainer/contract";
import { backupProgram } from "@ltx-trainer/host";
import type { Console } from "../display/console.ts";
import { formatBytes, formatCount } from "../display/progress.ts";
import { askServerTool } from "./ask-server-tool.ts";

type Place = { readonly home?: string };

/** Writes a backup into a new folder; the service may run meanwhile. */
export async function backup(folder: string, { home }: Place, console: Console): Promise<void> {
  const result = await ask("backup", folder, home);
  console.result(
    [
      `Backed up ${counted(result)} to ${result.folder}.`,
      ...(result.store === "bucket" ? ["Files stay in the bucket; back it up by its own means."] : []),
      ...(result.missing_files > 0
        ? [`Deleted while the backup ran, and not in it: ${result.missing_files} of the files.`]
        : []),
      "It holds the keys' hashes and the signing keys: keep it closed.",
      `To bring it back: ltx-trainer restore ${result.folder} --home <new folder>`,
    ].join("\n"),
    result,
  );
}

/** Brings a backup back into a data folder and a database that are empty. */
export async function restore(folder: string, { home }: Place, console: Console): Promise<void> {
  const result = await ask("restore", folder, home);
  console.result(
    [`Restored ${counted(result)}.`, "Start the service on the same data folder: ltx-trainer serve"].join(
      "\n",
    ),
    result,
  );
}

function counted({ keys, requests, files, file_bytes }: BackupResult): string {
  const stored = `${formatCount(files, "file")} (${formatBytes(file_bytes)})`;
  return `${formatCount(keys, "key")}, ${formatCount(requests, "request")} and ${stored}`;
}

async function ask(action: BackupAction, folder: string, home: string | undefined): Promise<BackupResult> {
  return BackupResult.parse(await askServerTool(backupProgram(), { action, options: { folder }, home }));
}
