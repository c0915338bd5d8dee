/** A whole service for tests: its own data folder and database, the real trainer, a tiny base model, and a small dataset. */
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import { createKey, defaultUser } from "../access/keys.ts";
import { type Config, readConfig } from "../config/config.ts";
import { openDatabase } from "../db/database.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import { EndpointRegistry, makeEndpoints } from "../endpoints/registry.ts";
import { EmbeddedPostgres, type PostgresAddress } from "../postgres/embedded-postgres.ts";
import { type Service, startService } from "../service.ts";
import { silent } from "./postgres.ts";

const tinyBase = fileURLToPath(new URL("../../../../fixtures/folder/tiny", import.meta.url));

/** The fixtures' tiny model with sizes of its own: the released ones would make its few channels work for minutes. */
function makeBase(folder: string): void {
  cpSync(tinyBase, folder, { recursive: true });
  const path = join(folder, "model_index.json");
  const size = { width: 64, height: 64 };
  const row = { "16:9": size, "1:1": size, "9:16": size };
  const own = { sizes: { low: row, medium: row, high: row }, sampler: { steps: 2, guidance: 2 } };
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), _ltx_trainer: own }));
}

/** A clip of a second as a data URI: a dataset of one video. */
function makeDataset(folder: string): string {
  const path = join(folder, "clip.mp4");
  const source = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=25", "-t", "1.1"];
  execFileSync("ffmpeg", ["-v", "error", ...source, "-pix_fmt", "yuv420p", path]);
  return `data:video/mp4;base64,${readFileSync(path).toString("base64")}`;
}

export type Answer = { readonly status: number; readonly headers: Headers; readonly body: unknown };

export class TestService {
  readonly home: string;
  /** An input that trains in seconds: the smallest of everything that the API allows. */
  readonly input: Readonly<Record<string, unknown>>;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #log: Logger;
  readonly #endpoints: readonly Endpoint[];
  #service: Service | undefined;
  #key = "";

  private constructor(
    settings: Readonly<Record<string, string>>,
    log: Logger,
    endpoints: readonly Endpoint[],
  ) {
    this.home = mkdtempSync(join(tmpdir(), "ltx-service-"));
    chmodSync(this.home, 0o755);
    makeBase(join(this.home, "base"));
    this.input = {
      training_data_url: makeDataset(this.home),
      rank: 8,
      number_of_steps: 100,
      number_of_frames: 25,
      validation_number_of_frames: 9,
      trigger_phrase: "zxq",
    };
    this.#settings = settings;
    this.#log = log;
    this.#endpoints = endpoints;
  }

  static async start(
    settings: Readonly<Record<string, string>> = {},
    log: Logger = silent,
    endpoints: readonly Endpoint[] = [],
  ): Promise<TestService> {
    const test = new TestService(settings, log, endpoints);
    await test.resume();
    return test;
  }

  get config(): Config {
    return readConfig({
      PATH: process.env.PATH,
      OMP_NUM_THREADS: "1",
      PORT: "0",
      LTX_TRAINER_HOME: this.home,
      LTX_TRAINER_BASE: join(this.home, "base"),
      LTX_TRAINER_DEVICES: "cpu",
      ...this.#settings,
    });
  }

  /** Of its own PostgreSQL. */
  get databaseAddress(): PostgresAddress {
    return new EmbeddedPostgres(this.home, silent).address;
  }

  get url(): string {
    if (this.#service === undefined) throw new Error("the service is not running");
    return this.#service.url;
  }

  get authorization(): string {
    return `Key ${this.#key}`;
  }

  /** Starts it, on what an earlier one left. */
  async resume(): Promise<void> {
    this.#service = await startService(this.config, this.#log, this.#registry);
    const { firstKey } = this.#service;
    if (firstKey !== undefined) this.#key = await this.#adminKey();
  }

  /** The package's own endpoints and those that the test adds. */
  get #registry(): EndpointRegistry {
    return new EndpointRegistry(makeEndpoints(this.config).primary, ...this.#endpoints);
  }

  /** The first key may not administer; tests do. */
  async #adminKey(): Promise<string> {
    const address = this.config.databaseUrl ?? this.databaseAddress;
    const db = openDatabase(address, { connections: 1, log: silent });
    try {
      return (await createKey(db, { name: "admin", userId: defaultUser, scope: "admin" })).key;
    } finally {
      await db.destroy();
    }
  }

  /** Stops it in good order. */
  async pause(): Promise<void> {
    await this.#service?.stop();
    this.#service = undefined;
  }

  async end(): Promise<void> {
    await this.pause();
    rmSync(this.home, { recursive: true, force: true });
  }

  /** One call; `path` starts with a slash. A body that is text is sent as it is. */
  async call(
    method: string,
    path: string,
    options: { readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> } = {},
  ): Promise<Answer> {
    const { body, headers = {} } = options;
    const response = await fetch(this.url + path, {
      method,
      headers: { authorization: this.authorization, "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === "" ? undefined : JSON.parse(text),
    };
  }
}
