/**
 * Starting a program that must not outlive us.
 *
 * Where `setpriv` exists, the kernel signals the program when we die, however we die. The program leads a process group
 * of its own, so that Ctrl-C reaches it through us only, and so that it can be ended together with what it started.
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { findOnPath } from "./find-on-path.ts";

export type Account = { readonly uid: number; readonly gid: number };

export type TiedOptions = {
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly stdio: SpawnOptions["stdio"];
  /** What the kernel sends the program when we are gone. */
  readonly whenOrphaned: "KILL" | "TERM";
  /** Whom it runs as; default: as we do. Only root may name another. */
  readonly account?: Account | undefined;
  /** Neither it nor what it starts may gain privileges, by a set-uid program for example. */
  readonly noNewPrivileges?: boolean;
};

/** The running Node program. */
export function spawnTied(args: readonly string[], options: TiedOptions): ChildProcess {
  const [program, programArgs] = tied(process.execPath, args, options);
  const common = { stdio: options.stdio, env: options.env ?? process.env, detached: true };
  const account = program === process.execPath ? options.account : undefined;
  return spawn(program, programArgs, { ...common, ...account });
}

/** A command line whose program ends when the process that starts it ends. Unchanged where there is no `setpriv`. */
export function tied(
  program: string,
  args: readonly string[],
  options: Pick<TiedOptions, "whenOrphaned" | "account" | "noNewPrivileges">,
): [program: string, args: string[]] {
  const setpriv = findOnPath("setpriv");
  if (setpriv === undefined) return [program, [...args]];
  return [setpriv, [...privilegesOf(options), "--", program, ...args]];
}

function privilegesOf({
  whenOrphaned,
  account,
  noNewPrivileges,
}: Pick<TiedOptions, "whenOrphaned" | "account" | "noNewPrivileges">): string[] {
  const { uid, gid } = account ?? {};
  return [
    ...["--pdeathsig", whenOrphaned],
    ...(noNewPrivileges ? ["--no-new-privs"] : []),
    ...(account === undefined ? [] : ["--reuid", String(uid), "--regid", String(gid), "--clear-groups"]),
  ];
}

/** When memory ends, the kernel ends this program before those it serves. Range -1000 to 1000, 0 by default. */
export function sacrificeFirst(child: ChildProcess): void {
  try {
    writeFileSync(`/proc/${child.pid}/oom_score_adj`, "500");
  } catch {
    // It has ended already, or the system has no such file.
  }
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
