/** Every path of a request's folder, named once. */
import { access, lstat, mkdir, readdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { join, sep } from "node:path";
import { AppError, TrainOutputs } from "@ltx-trainer/contract";

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
  async checkOutputs(outputs: TrainOutputs): Promise<TrainOutputs> {
    const { lora_file, lora_file_comfyui, config_file, video } = outputs;
    for (const path of [lora_file, lora_file_comfyui, config_file, ...(video === null ? [] : [video])]) {
      if (!(await this.isOutput(path))) {
        throw new AppError({
          code: "trainer_died",
          message: `trainer: named ${path} as an output, expected a file in ${this.output}`,
        });
      }
    }
    return outputs;
  }

  private async isOutput(path: string): Promise<boolean> {
    try {
      const [folder, file] = await Promise.all([realpath(this.output), realpath(path)]);
      return file.startsWith(folder + sep) && (await lstat(path)).isFile();
    } catch {
      return false;
    }
  }

  /** What a trained request still has to publish: known here even if the database did not hear of it. */
  private get trainedFile(): string {
    return join(this.path, "trained.json");
  }

  async writeTrained(outputs: TrainOutputs): Promise<void> {
    await writeFile(`${this.trainedFile}.tmp`, JSON.stringify(outputs), { mode: 0o600, flush: true });
    await rename(`${this.trainedFile}.tmp`, this.trainedFile);
  }

  /** Undefined when nothing was trained, or its files are gone. */
  async readTrained(): Promise<TrainOutputs | undefined> {
    try {
      const outputs = TrainOutputs.parse(JSON.parse(await readFile(this.trainedFile, "utf8")));
      return await this.checkOutputs(outputs);
    } catch {
      return undefined;
    }
  }

  async forgetTrained(): Promise<void> {
    await rm(this.trainedFile, { force: true });
  }

  /** What is of no use once the request has its end: it takes most of the space. */
  async removeIntermediates(): Promise<void> {
    const names = ["checkpoints", ".ltx-trainer"].map((name) => join(this.output, name));
    for (const path of [...names, this.inputs]) await rm(path, { recursive: true, force: true });
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

/** Whether what a request cannot succeed without can be read. */
export async function hasFiles(outputs: TrainOutputs): Promise<boolean> {
  try {
    await Promise.all([access(outputs.lora_file), access(outputs.config_file)]);
    return true;
  } catch {
    return false;
  }
}
