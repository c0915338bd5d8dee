/** Running programs that use fal's own Python client. */
import { execFile, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const named = process.env.FAL_CLIENT_PYTHON || undefined;
const python = named ?? "python3";

/** Whether there is no Python with fal_client here. One that was named and lacks it is a failure. */
export const isClientMissing: boolean =
  named === undefined && spawnSync(python, ["-c", "import fal_client"]).status !== 0;

/**
 * The last line of what a program prints.
 *
 * @param program beside this file
 * @throws with what it said, when it fails
 */
export function runPython(
  program: string,
  given: unknown,
  env: Readonly<Record<string, string>>,
): Promise<unknown> {
  const path = fileURLToPath(new URL(program, import.meta.url));
  const options = { env: { PATH: process.env.PATH, ...env }, maxBuffer: 64 * 2 ** 20 };
  return new Promise((resolve, reject) => {
    execFile(python, [path, JSON.stringify(given)], options, (error, stdout, stderr) => {
      if (error === null) resolve(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? ""));
      else reject(new Error(`${error.message}\n${stderr}`));
    });
  });
}
