/** What a job needs from the machine, looked at before the work starts and not after hours of it. */
import { accessSync, constants, mkdirSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import { unwritableReasons } from "./files/unwritable.ts";
import { requireVideoEncoder } from "./media/encode-video.ts";

/**
 * @throws AppError `file_unreadable` when the data folder cannot be written; `tool_missing` without an ffmpeg that can
 * write the videos
 */
export async function checkMachine(home: string, signal: AbortSignal): Promise<void> {
  checkHome(home);
  await requireVideoEncoder(signal);
}

function checkHome(home: string): void {
  const cache = join(home, "cache");
  try {
    mkdirSync(cache, { recursive: true });
    accessSync(cache, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOSPC" || code === "EDQUOT") throw cause;
    const reason = reasons[code ?? ""] ?? (cause as Error).message;
    throw new AppError({
      code: "file_unreadable",
      message: `home: ${home} cannot be written: ${reason}`,
      remedy: "Name a data folder that this account may write to with --home or LTX_TRAINER_HOME.",
      facts: { home },
      cause,
    });
  }
}

const reasons: Readonly<Record<string, string>> = {
  ...unwritableReasons,
  ENOTDIR: "it is a file or lies below one",
  EEXIST: "it is a file or lies below one",
};
