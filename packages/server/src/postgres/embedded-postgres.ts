/**
 * Embedded PostgreSQL: set up at the first start, reachable only through a socket in a closed folder, restarted when it dies,
 * and stopped with the server.
 *
 * With `setpriv` the kernel tells it to shut down when the server dies. Without it, the next start takes over the running
 * one.
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
/** How long a start waits for a PostgreSQL that is shutting down before it takes it over. */
const leavingMs = 5_000;

/** Small: the tables are small, and trainings need the memory. */
const settings: Readonly<Record<string, string>> = {
  listen_addresses: "",
  unix_socket_permissions: "0700",
  shared_buffers: "32MB",
  max_wal_size: "256MB",
  // DETAIL quotes the failing row, which holds user data.
  log_error_verbosity: "terse",
  // Otherwise a failing statement is logged with its values.
  log_min_error_statement: "panic",
  timezone: "UTC",
  log_timezone: "UTC",
};

const leastConnections = 60;
/** Connections of a server beside its pool: LISTEN, leases, and a person with psql. */
const connectionsBeside = 10;

/** How to connect. */
export type PostgresAddress = { readonly host: string; readonly user: string; readonly database: string };

export class EmbeddedPostgres {
  readonly address: PostgresAddress;
  readonly #log: Logger;
  readonly #maxConnections: number;
  readonly #account: Account | undefined;
  readonly #programs: string;
  /** Folder of the database. */
  readonly folder: string;
  /** Whether that folder is outside the data folder. */
  readonly isElsewhere: boolean;
  readonly #socketFolder: string;
  #watch: NodeJS.Timeout | undefined;
  #isStopping = false;

  /**
   * @param connections size of a server's pool. Two servers on one data folder fit
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

  /** Process id. Undefined while it does not run. */
  get pid(): number | undefined {
    return runningPid(this.#dataFolder);
  }

  /** Starts and waits until it accepts connections. @throws AppError `tool_failed` with the end of its log */
  async start(): Promise<void> {
    await this.#initialize();
    if (await this.#takeOver()) {
      this.#watchTakenOver();
      return;
    }
    removeStaleLocks(this.#dataFolder, this.#socketFolder);
    const child = this.#spawnServer();
    const deadline = Date.now() + startTimeoutMs;
    while (!(await this.#acceptsConnections())) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
        child.kill("SIGKILL");
        throw this.#startFailure();
      }
      await delay(20);
    }
    child.once("exit", (code, signal) => this.#onExit({ code, signal }));
    if (child.exitCode !== null || child.signalCode !== null) throw this.#startFailure();
  }

  /** Stops it and waits. Open connections are cut. */
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

  /** Runs initdb into a temporary folder and renames it, so that an interrupted first start leaves nothing half-made. */
  async #initialize(): Promise<void> {
    if (existsSync(join(this.#dataFolder, "PG_VERSION"))) return;
    const beside = `${this.#dataFolder}.new`;
    rmSync(beside, { recursive: true, force: true });
    this.#log.info({ folder: this.#dataFolder }, "PostgreSQL: creating the database");
    const options = ["-D", beside, "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C"];
    await run(join(this.#programs, "initdb"), [...options, "--no-instructions"], {
      ...this.#account,
      cwd: "/",
    });
    renameSync(beside, this.#dataFolder);
  }

  /** Tells whether one is running that is not shutting down. */
  async #takeOver(): Promise<boolean> {
    const deadline = Date.now() + leavingMs;
    for (let pid = this.pid; pid !== undefined && Date.now() < deadline; pid = this.pid) await delay(50);
    if (this.pid === undefined) return false;
    this.#log.info({ pid: this.pid }, "PostgreSQL: taking over the running process");
    return this.#acceptsConnections();
  }

  /** Tells whether it accepts connections. It opens its socket long before that. */
  async #acceptsConnections(): Promise<boolean> {
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
    rotateLog(this.#logFile);
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
    // A process group of its own: Ctrl-C must reach only the server, which stops PostgreSQL last.
    const child = spawn(program, args, {
      ...this.#account,
      cwd: "/",
      detached: true,
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    return child;
  }

  #onExit(ending: { readonly code: number | null; readonly signal: NodeJS.Signals | null }): void {
    if (this.#isStopping) return;
    this.#log.error(ending, "PostgreSQL: exited, restarting");
    void this.#restart();
  }

  #watchTakenOver(): void {
    this.#watch = setInterval(() => {
      if (this.pid !== undefined || this.#isStopping) return;
      clearInterval(this.#watch);
      this.#onExit({ code: null, signal: null });
    }, 500);
    this.#watch.unref();
  }

  /** Retries until it works: leftover processes that still hold its shared memory exit by themselves. */
  async #restart(): Promise<void> {
    for (let pauseMs = 100; !this.#isStopping; pauseMs = Math.min(2 * pauseMs, 5_000)) {
      try {
        await this.start();
        this.#log.info({ pid: this.pid }, "PostgreSQL: restarted");
        return;
      } catch (error) {
        this.#log.error({ err: error }, "PostgreSQL: restart failed, retrying");
        await delay(pauseMs);
      }
    }
  }

  #startFailure(): AppError {
    return new AppError({
      code: "tool_failed",
      message: `PostgreSQL: did not start on ${this.#dataFolder}`,
      remedy: `See its log: ${this.#logFile}`,
      retryable: true,
    });
  }
}

/** Rotates the log at every start and keeps one earlier file. PostgreSQL itself keeps the file open. */
function rotateLog(path: string): void {
  if (existsSync(path) && statSync(path).size > longestLogBytes) renameSync(path, `${path}.1`);
}

/** Returns the socket folder: in the data folder, or in the temporary folder when the path would be too long. */
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

/** Tells whether a path is a real folder that one of these accounts owns and no other may enter. */
function isClosed(folder: string, owners: readonly number[]): boolean {
  const status = lstatSync(folder);
  return status.isDirectory() && owners.includes(status.uid) && (status.mode & 0o077) === 0;
}

function socketFolderTaken(folder: string): AppError {
  return new AppError({
    code: "file_unreadable",
    message: `PostgreSQL: got ${folder}, which others may write to; expected a closed folder of this account for the socket`,
    remedy: "Remove that folder, or set LTX_TRAINER_HOME to a folder with a shorter path.",
  });
}
