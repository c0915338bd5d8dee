/** Why a system refuses to write, in words. */

export const unwritableReasons = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
} as const;

/** The reason for an error's code; undefined for other codes. */
export function unwritableReason(code: string | undefined): string | undefined {
  return (unwritableReasons as Readonly<Record<string, string>>)[code ?? ""];
}
