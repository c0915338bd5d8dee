/** `ltx-trainer serve`: the service, a program started by path that lives as long as we do. */
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

/** Under which name the service looks for each option. */
const variables = {
  host: "HOST",
  port: "PORT",
  home: "LTX_TRAINER_HOME",
  devices: "LTX_TRAINER_DEVICES",
  base: "LTX_TRAINER_BASE",
} as const satisfies Partial<Record<keyof ServeOptions, string>>;

/**
 * Runs the service until it ends; our signals are its signals.
 *
 * @returns its exit status
 * @throws AppError `tool_missing` before the first build
 */
export async function serve(options: ServeOptions): Promise<number> {
  const given = Object.entries(variables).flatMap(([option, variable]) => {
    const value = options[option as keyof typeof variables];
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
