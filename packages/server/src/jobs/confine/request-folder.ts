/**
 * Every path of a request's folder, named once.
 *
 * The folder belongs to the trainer while it runs, and a trainer that was taken over by its data may leave links in it. So
 * nothing here is written, read or deleted through one.
 */
import { constants } from "node:fs";
import { lstat, mkdir, open, readdir, realpath, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import type { Endpoint } from "../../endpoints/endpoint.ts";

/** What a command ended with, as its endpoint's schema `outputs` says. */
export type Outputs = Readonly<Record<string, unknown>>;

type OutputRules = Pick<Endpoint, "outputs" | "filesOf">;

export class RequestFolder {
  readonly path: string;

  constructor(home: string, requestId: string) {
    this.path = join(home, "requests", requestId);
  }

  /** Ids of the requests that have a folder on this machine. */
  static async list(home: string): Promise<string[]> {
    const folder = join(home, "requests");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return readdir(folder);
  }

  get jobFile(): string {
    return join(this.path, "job.json");
  }

  /** Where the trainer writes everything. */
  get output(): string {
    return join(this.path, "output");
  }

  async make(): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
  }

  /** Files of the store that had to be brought here for the trainer. */
  get inputs(): string {
    return join(this.path, "inputs");
  }

  /**
   * The outputs, if every file is a real one in the trainer's folder: a trainer that was taken over by its data could name any
   * file of the machine, which would then be published.
   *
   * @throws AppError `trainer_died` for anything else
   */
  async checkOutputs(said: unknown, rules: OutputRules): Promise<Outputs> {
    const parsed = rules.outputs.safeParse(said);
    if (!parsed.success) {
      throw new AppError({
        code: "trainer_died",
        message: `trainer: its outputs are not those of its command: ${parsed.error.message.slice(0, 1000)}`,
      });
    }
    const outputs = parsed.data as Outputs;
    for (const path of rules.filesOf(outputs)) {
      if (!(await this.#isOutput(path))) {
        throw new AppError({
          code: "trainer_died",
          message: `trainer: named ${path} as an output, expected a file in ${this.output}`,
        });
      }
    }
    return outputs;
  }

  /** Whether what is to be published is still there, as `checkOutputs` wants it. */
  async holds(outputs: Outputs, rules: OutputRules): Promise<boolean> {
    try {
      await this.checkOutputs(outputs, rules);
      return true;
    } catch {
      return false;
    }
  }

  async #isOutput(path: string): Promise<boolean> {
    try {
      // Of the parent, which is the server's: `output` itself may have become a link.
      const folder = join(await realpath(dirname(this.path)), basename(this.path), basename(this.output));
      return (await realpath(path)).startsWith(folder + sep) && (await lstat(path)).isFile();
    } catch {
      return false;
    }
  }

  /** What a trained request still has to publish: known here even if the database did not hear of it. */
  get #trainedFile(): string {
    return join(this.path, "trained.json");
  }

  async writeTrained(outputs: Outputs): Promise<void> {
    const beside = `${this.#trainedFile}.tmp`;
    await rm(beside, { recursive: true, force: true });
    await writeFile(beside, JSON.stringify(outputs), { mode: 0o600, flag: "wx", flush: true });
    await rename(beside, this.#trainedFile);
  }

  /** Undefined when nothing was trained, or its files are gone. */
  async readTrained(rules: OutputRules): Promise<Outputs | undefined> {
    try {
      const text = await readPlainFile(this.#trainedFile);
      return await this.checkOutputs(JSON.parse(text), rules);
    } catch {
      return undefined;
    }
  }

  async forgetTrained(): Promise<void> {
    await rm(this.#trainedFile, { force: true });
  }

  /** What is of no use once the request has its end: it takes most of the space. */
  async removeIntermediates(): Promise<void> {
    const isReal = await lstat(this.output).then(
      (status) => status.isDirectory(),
      () => false,
    );
    const names = ["checkpoints", ".ltx-trainer"].map((name) => join(this.output, name));
    for (const path of [...(isReal ? names : []), this.inputs]) {
      await rm(path, { recursive: true, force: true });
    }
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

/** @throws Error for a link; a pipe is empty, and is not waited for */
async function readPlainFile(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}
