/**
 * Starting a program that must not outlive us.
 *
 * Where `setpriv` exists, the kernel signals the program when we die, however we die. The program leads a process group
 * of its own, so that Ctrl-C reaches it through us only, and so that it can be ended together with what it started.
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

export type TiedOptions = {
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly stdio: SpawnOptions["stdio"];
  /** What the kernel sends the program when we are gone. */
  readonly whenOrphaned: "KILL" | "TERM";
};

/** The running Node program. */
export function spawnTied(args: readonly string[], options: TiedOptions): ChildProcess {
  const setpriv = findOnPath("setpriv");
  const node = [process.execPath, ...args];
  const [program = "", ...rest] =
    setpriv === undefined ? node : [setpriv, "--pdeathsig", options.whenOrphaned, "--", ...node];
  return spawn(program, rest, { stdio: options.stdio, env: options.env ?? process.env, detached: true });
}

/** Ends a program and everything in its process group at once. Quiet when there is nothing left to end. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function findOnPath(name: string): string | undefined {
  const candidates = (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
