/** `ltx-trainer serve`: the service, a program started by path that lives as long as we do. */
import { serveVariables } from "@ltx-trainer/contract";
import { onStopSignals, serverProgram, spawnTied } from "@ltx-trainer/host";

export type ServeOptions = {
  readonly host?: string;
  readonly port?: string;
  readonly home?: string;
  readonly devices?: string;
  readonly base?: string;
  /** Show the settings there are, instead of serving. */
  readonly settings?: boolean;
};

/**
 * Runs the service until it ends; our signals are its signals.
 *
 * @returns its exit status
 * @throws AppError `tool_missing` before the first build
 */
export async function serve(options: ServeOptions): Promise<number> {
  const given = Object.entries(serveVariables).flatMap(([option, variable]) => {
    const value = options[option as keyof typeof serveVariables];
    return value === undefined ? [] : [[variable, value] as const];
  });
  const child = spawnTied([serverProgram(), ...(options.settings ? ["--settings"] : [])], {
    env: { ...process.env, ...Object.fromEntries(given) },
    stdio: "inherit",
    whenOrphaned: "TERM",
  });
  const stopPassing = onStopSignals((_times, signal) => void child.kill(signal));
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code ?? 1));
    });
  } finally {
    stopPassing();
  }
}
