/** Every path of a request's folder, named once. */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

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

  /** What is of no use once the request has its end: it takes most of the space. */
  async removeIntermediates(): Promise<void> {
    const names = ["checkpoints", ".ltx-trainer"].map((name) => join(this.output, name));
    for (const path of [...names, this.inputs]) await rm(path, { recursive: true, force: true });
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
