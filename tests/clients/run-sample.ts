/** Running a sample as a program of its own: Node, the unmodified client, nothing of ours. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../../", import.meta.url));

export type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** @param code an ES module */
export function runProgram(code: string, env: Readonly<Record<string, string>>): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["--input-type=module", "--eval", code],
      { cwd: repository, env: { PATH: process.env.PATH, ...env }, maxBuffer: 64 * 2 ** 20 },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
      },
    );
  });
}

/** Puts a line right after the sample's import. */
export function withLine(sample: string, line: string): string {
  return sample.replace(/^import .*;$/m, (statement) => `${statement}\n${line}`);
}
