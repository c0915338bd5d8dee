/** Recognising a full disk, wherever the error comes from: it must never look like a damaged file. */
import { AppError } from "@ltx-trainer/contract";

/** The error to show when `error` (or what caused it) says that there is no space left; undefined when it does not. */
export function asDiskFull(error: unknown, folder: string): AppError | undefined {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === "ENOSPC" || code === "EDQUOT") return diskFull(folder, error);
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? undefined : asDiskFull(cause, folder);
}

/** Whether the system refused something, whatever it was; a damaged file is none of these. */
export function isSystemError(error: unknown): boolean {
  const { errno, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  return typeof errno === "number" && syscall !== undefined;
}

/** The one error for a full disk. `failures.ts` replaces the remedy by one that fits the folder. */
export function diskFull(folder: string, cause?: unknown): AppError {
  return new AppError({
    code: "disk_full",
    message: `${folder}: no space left on the disk`,
    remedy: "Free some space there.",
    facts: { folder },
    cause,
  });
}
