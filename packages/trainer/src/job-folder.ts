/**
 * Every path of a training's output folder, named once.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import { writeDurably } from "./durable.ts";

export class JobFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * The folder, made if it is not there.
   *
   * @throws AppError `output_exists` when it already holds a training and this one does not resume it
   */
  static open(path: string, options: { readonly resume: boolean }): JobFolder {
    const folder = new JobFolder(resolve(path));
    if (!options.resume && folder.holdsTraining()) {
      throw new AppError({
        code: "output_exists",
        message: `out: got ${folder.path}, which already holds a training; expected a new or empty folder`,
        remedy: "Add --resume to go on with it, or choose another --out.",
        facts: { out: folder.path },
      });
    }
    mkdirSync(folder.checkpoints, { recursive: true });
    for (const name of readdirSync(folder.path)) {
      if (name.endsWith(".tmp")) rmSync(join(folder.path, name), { recursive: true });
    }
    return folder;
  }

  get plan(): string {
    return join(this.path, "plan.json");
  }
  get metrics(): string {
    return join(this.path, "metrics.jsonl");
  }
  get report(): string {
    return join(this.path, "dataset-report.json");
  }
  get checkpoints(): string {
    return join(this.path, "checkpoints");
  }
  get samples(): string {
    return join(this.path, "samples");
  }
  get lora(): string {
    return join(this.path, "lora.safetensors");
  }
  get loraComfyui(): string {
    return join(this.path, "lora.comfyui.safetensors");
  }
  get config(): string {
    return join(this.path, "config.json");
  }
  get video(): string {
    return join(this.path, "validation.mp4");
  }
  get contactSheet(): string {
    return join(this.path, "contact-sheet.png");
  }
  /** Downloads and unpacked media; removed when the samples are encoded. */
  get work(): string {
    return join(this.path, "work");
  }

  private holdsTraining(): boolean {
    const hasCheckpoint = existsSync(this.checkpoints) && readdirSync(this.checkpoints).length > 0;
    return hasCheckpoint || existsSync(this.lora);
  }
}

/** A reader never meets half a file, not even after a power cut. */
export function writeJson(path: string, value: unknown): void {
  writeDurably(path, `${JSON.stringify(value, null, 2)}\n`);
}
