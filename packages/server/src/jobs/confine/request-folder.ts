/**
 * Paths and files of a request's folder.
 *
 * The trainer owns the folder while it runs, and a trainer that hostile data has compromised may leave links in it. So nothing
 * here is written, read or deleted through a link.
 */
import { constants } from "node:fs";
import { lstat, mkdir, open, readdir, realpath, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import type { Endpoint } from "../../endpoints/endpoint.ts";

/** Outputs of a command, in the form of its endpoint's schema `outputs`. */
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

  /** The folder that the trainer writes to. */
  get output(): string {
    return join(this.path, "output");
  }

  async make(): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
  }

  /** Links and copies of stored files, for the trainer. */
  get inputs(): string {
    return join(this.path, "inputs");
  }

  /**
   * Parses the outputs and checks that every file is a regular one in the output folder. A compromised trainer could
   * otherwise name any file of the machine, which would then be published.
   *
   * @throws AppError `trainer_died` for anything else
   */
  async checkOutputs(said: unknown, rules: OutputRules): Promise<Outputs> {
    const parsed = rules.outputs.safeParse(said);
    if (!parsed.success) {
      throw new AppError({
        code: "trainer_died",
        message: `trainer: outputs do not fit the schema of the command: ${parsed.error.message.slice(0, 1000)}`,
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

  /** Whether `checkOutputs` accepts the outputs. */
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
      // Resolves only the parent, which the server owns: `output` itself may have become a link.
      const folder = join(await realpath(dirname(this.path)), basename(this.path), basename(this.output));
      return (await realpath(path)).startsWith(folder + sep) && (await lstat(path)).isFile();
    } catch {
      return false;
    }
  }

  /** Holds the outputs that are still to be published, also if they could not be recorded in the database. */
  get #trainedFile(): string {
    return join(this.path, "trained.json");
  }

  async writeTrained(outputs: Outputs): Promise<void> {
    const beside = `${this.#trainedFile}.tmp`;
    await rm(beside, { recursive: true, force: true });
    await writeFile(beside, JSON.stringify(outputs), { mode: 0o600, flag: "wx", flush: true });
    await rename(beside, this.#trainedFile);
  }

  /** Undefined when nothing was recorded, or the files are missing. */
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

  /** Deletes what an ended request does not need: checkpoints and inputs, which take most of the space. */
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

/** @throws Error for a link. Reads nothing from a pipe and does not block on it. */
async function readPlainFile(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}
