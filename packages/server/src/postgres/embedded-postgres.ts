/**
 * A real PostgreSQL of our own: set up at the first start, reachable only through a socket in a closed folder, started
 * again when it dies, and stopped with us.
 *
 * Where `setpriv` exists the kernel asks it to stop in good order when we die. Where it does not, the next start takes
 * over the one that is still running.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { AppError } from "@ltx-trainer/contract";
import type { Account } from "@ltx-trainer/host";
import pg from "pg";
import type { Logger } from "pino";
import { ownedFolder, reachablePrograms, unprivilegedAccount } from "./account.ts";
import { postgresFolder } from "./binaries.ts";
import { removeStaleLocks, runningPid, socketName } from "./leftovers.ts";

const run = promisify(execFile);

const superuser = "ltx_trainer";
/** The kernel's limit on the path of a socket. */
const longestSocketPath = 107;
const startTimeoutMs = 60_000;
const longestLogBytes = 10 * 2 ** 20;
/** How long one that is on its way out is waited for before it is taken over. */
const leavingMs = 5_000;

/** Small: the tables are, and the memory belongs to the training. */
const settings: Readonly<Record<string, string>> = {
  listen_addresses: "",
  unix_socket_permissions: "0700",
  shared_buffers: "32MB",
  max_wal_size: "256MB",
  // Details quote the row that failed, with what users put into it.
  log_error_verbosity: "terse",
  // Else a statement that failed is logged with its values.
  log_min_error_statement: "panic",
  timezone: "UTC",
  log_timezone: "UTC",
};

const leastConnections = 60;
/** Of a server, beside its pool: news, leases, and somebody who looks. */
const connectionsBeside = 10;

/** How to connect. */
export type PostgresAddress = { readonly host: string; readonly user: string; readonly database: string };

export class EmbeddedPostgres {
  readonly address: PostgresAddress;
  readonly #log: Logger;
  readonly #maxConnections: number;
  readonly #account: Account | undefined;
  readonly #programs: string;
  /** Where the database lies. */
  readonly folder: string;
  /** Whether that is outside the data folder. */
  readonly isElsewhere: boolean;
  readonly #socketFolder: string;
  #watch: NodeJS.Timeout | undefined;
  #isStopping = false;

  /**
   * @param connections of a server's pool; two servers on one data folder find room
   * @throws AppError `tool_missing` where it cannot run
   */
  constructor(home: string, log: Logger, { connections = 10 }: { readonly connections?: number } = {}) {
    this.#log = log;
    this.#maxConnections = Math.max(leastConnections, 2 * (connections + connectionsBeside));
    this.#account = unprivilegedAccount();
    this.#programs = join(reachablePrograms(postgresFolder(), "18", this.#account), "bin");
    this.folder = ownedFolder(join(home, "postgres"), this.#account);
    this.isElsewhere = this.folder !== join(home, "postgres");
    this.#socketFolder = socketFolderOf(this.folder, this.#account);
    this.address = { host: this.#socketFolder, user: superuser, database: "postgres" };
  }

  /** The process; undefined while there is none. */
  get pid(): number | undefined {
    return runningPid(this.#dataFolder);
  }

  /** Waits until it takes connections. @throws AppError `tool_failed` with the end of its log */
  async start(): Promise<void> {
    await this.#initialize();
    if (await this.#takeOver()) {
      this.#watchTakenOver();
      return;
    }
    removeStaleLocks(this.#dataFolder, this.#socketFolder);
    const child = this.#spawnServer();
    const deadline = Date.now() + startTimeoutMs;
    while (!(await this.#answers())) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
        child.kill("SIGKILL");
        throw this.#didNotStart();
      }
      await delay(20);
    }
    child.once("exit", (code, signal) => this.#died({ code, signal }));
    if (child.exitCode !== null || child.signalCode !== null) throw this.#didNotStart();
  }

  /** Asks it to stop and waits; open connections are cut. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#watch);
    const pid = this.pid;
    if (pid === undefined) return;
    process.kill(pid, "SIGINT");
    while (this.pid === pid) await delay(20);
  }

  get #dataFolder(): string {
    return join(this.folder, "data");
  }

  get #logFile(): string {
    return join(this.folder, "postgres.log");
  }

  /** Into a folder beside, so that a first start that is cut short leaves nothing that looks complete. */
  async #initialize(): Promise<void> {
    if (existsSync(join(this.#dataFolder, "PG_VERSION"))) return;
    const beside = `${this.#dataFolder}.new`;
    rmSync(beside, { recursive: true, force: true });
    this.#log.info({ folder: this.#dataFolder }, "making the database");
    const options = ["-D", beside, "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C"];
    await run(join(this.#programs, "initdb"), [...options, "--no-instructions"], {
      ...this.#account,
      cwd: "/",
    });
    renameSync(beside, this.#dataFolder);
  }

  /** Whether one is running that is going to stay. */
  async #takeOver(): Promise<boolean> {
    const deadline = Date.now() + leavingMs;
    for (let pid = this.pid; pid !== undefined && Date.now() < deadline; pid = this.pid) await delay(50);
    if (this.pid === undefined) return false;
    this.#log.info({ pid: this.pid }, "taking over the PostgreSQL that is running");
    return this.#answers();
  }

  /** Whether it takes connections: it opens its socket well before that. */
  async #answers(): Promise<boolean> {
    const client = new pg.Client({ ...this.address, port: 5432, connectionTimeoutMillis: 5_000 });
    client.on("error", () => {});
    try {
      await client.connect();
      return true;
    } catch {
      return false;
    } finally {
      await client.end().catch(() => {});
    }
  }

  #spawnServer(): ChildProcess {
    keepLogSmall(this.#logFile);
    const log = openSync(this.#logFile, "a", 0o600);
    if (this.#account !== undefined) chownSync(this.#logFile, this.#account.uid, this.#account.gid);
    const given = {
      ...settings,
      max_connections: String(this.#maxConnections),
      unix_socket_directories: this.#socketFolder,
    };
    const options = Object.entries(given).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const command = [join(this.#programs, "postgres"), "-D", this.#dataFolder, ...options];
    const [program = "", ...args] = existsSync("/usr/bin/setpriv")
      ? ["/usr/bin/setpriv", "--pdeathsig", "INT", "--", ...command]
      : command;
    // A group of its own: Ctrl-C is for us, and we stop it when nobody needs it any more.
    const child = spawn(program, args, {
      ...this.#account,
      cwd: "/",
      detached: true,
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    return child;
  }

  #died(ending: { readonly code: number | null; readonly signal: NodeJS.Signals | null }): void {
    if (this.#isStopping) return;
    this.#log.error(ending, "PostgreSQL ended by itself; starting it again");
    void this.#restart();
  }

  #watchTakenOver(): void {
    this.#watch = setInterval(() => {
      if (this.pid !== undefined || this.#isStopping) return;
      clearInterval(this.#watch);
      this.#died({ code: null, signal: null });
    }, 500);
    this.#watch.unref();
  }

  /** Until it works: its own leftovers (processes that still hold the memory) go away by themselves. */
  async #restart(): Promise<void> {
    for (let pauseMs = 100; !this.#isStopping; pauseMs = Math.min(2 * pauseMs, 5_000)) {
      try {
        await this.start();
        this.#log.info({ pid: this.pid }, "PostgreSQL is back");
        return;
      } catch (error) {
        this.#log.error({ err: error }, "PostgreSQL did not start; trying again");
        await delay(pauseMs);
      }
    }
  }

  #didNotStart(): AppError {
    return new AppError({
      code: "tool_failed",
      message: `PostgreSQL: did not start on ${this.#dataFolder}`,
      remedy: `Its log says why: ${this.#logFile}`,
      retryable: true,
    });
  }
}

/** One earlier log is kept. At every start, because PostgreSQL writes into what it was given. */
function keepLogSmall(path: string): void {
  if (existsSync(path) && statSync(path).size > longestLogBytes) renameSync(path, `${path}.1`);
}

/** In the data folder, or where that makes its path too long, in the system's temporary one. */
function socketFolderOf(folder: string, account: Account | undefined): string {
  const inside = join(folder, "socket");
  const hash = createHash("sha256").update(folder).digest("hex").slice(0, 12);
  const isShort = join(inside, `${socketName}.lock`).length <= longestSocketPath;
  const chosen = isShort ? inside : join(tmpdir(), `ltx-trainer-${hash}`);
  mkdirSync(chosen, { recursive: true, mode: 0o700 });
  const isOurs = isClosed(chosen, [process.getuid?.() ?? 0, account?.uid ?? 0]);
  if (!isOurs) throw socketFolderTaken(chosen);
  if (account !== undefined) chownSync(chosen, account.uid, account.gid);
  return chosen;
}

/** Whether a folder is a real one that belongs to one of these accounts and lets nobody else in. */
function isClosed(folder: string, owners: readonly number[]): boolean {
  const status = lstatSync(folder);
  return status.isDirectory() && owners.includes(status.uid) && (status.mode & 0o077) === 0;
}

function socketFolderTaken(folder: string): AppError {
  return new AppError({
    code: "file_unreadable",
    message: `PostgreSQL: got ${folder}, which others may write to; expected a closed folder of this account's for its socket`,
    remedy: "Remove that folder, or set LTX_TRAINER_HOME to a folder with a shorter path.",
  });
}
