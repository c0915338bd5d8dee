/**
 * A training's output folder: every path in it, named once, and whose folder it is.
 *
 * Nothing in it is ever removed or overwritten that another program or person put there: a folder with other files is
 * refused, scratch lies under one name, and of temporary files only those go that are named as ours are.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import { isNameBeside, writeDurably } from "@ltx-trainer/host";
import { type FolderLock, isLockName, lockFolder, refuseHeld } from "./files/folder-lock.ts";
import { unwritableReason } from "./files/unwritable.ts";

/** Where a training keeps downloads, unpacked media and its lock, in its output folder. */
export const scratchName = ".ltx-trainer";

/** Everything else that a training leaves in its output folder: files, and folders that only it writes into. */
export const outputNames = {
  files: [
    "plan.json",
    "metrics.jsonl",
    "dataset-report.json",
    "lora.safetensors",
    "lora.comfyui.safetensors",
    "config.json",
    "validation.mp4",
    "contact-sheet.png",
  ],
  folders: ["checkpoints", "samples"],
} as const;

/** Left behind by file managers, version control and file systems: a folder that holds nothing else is empty. */
const harmless = new Set([".DS_Store", "Thumbs.db", "desktop.ini", ".gitkeep", ".gitignore", "lost+found"]);

export class JobFolder {
  readonly path: string;
  #lock: FolderLock | undefined;
  #madeBy: "us" | "user" = "user";

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * The folder, made if it is not there, and held until `close`.
   *
   * @throws AppError `output_exists` when it already holds a training and this one does not resume it, `output_foreign`
   * when it holds files of somebody else, `output_busy` while another training writes into it
   */
  static async open(path: string, options: { readonly resume: boolean }): Promise<JobFolder> {
    const folder = new JobFolder(resolve(path));
    const isNew = !existsSync(folder.path);
    folder.#refuseUnfit(options);
    try {
      folder.#lock = await lockFolder(folder.#scratch, folder.path);
    } catch (error) {
      throw asUnwritable(error, folder.path);
    }
    if (isNew) folder.#madeBy = "us";
    try {
      // Once more: another training may have ended in between.
      folder.#refuseUnfit(options);
      mkdirSync(folder.checkpoints, { recursive: true });
      folder.#removeLeftovers();
    } catch (error) {
      folder.close();
      throw error;
    }
    return folder;
  }

  /**
   * Lets go of the folder. What was downloaded and unpacked is removed; a training that failed before its first step
   * leaves nothing, one that was interrupted leaves its plan, so that --resume finds it.
   */
  close({ isInterrupted = false } = {}): void {
    removeIfPossible(this.work);
    if (!isInterrupted && !this.#holdsTraining() && !existsSync(this.metrics)) {
      for (const path of [this.plan, this.report]) removeIfPossible(path);
      removeEmpty(this.checkpoints);
    }
    try {
      this.#lock?.release();
    } catch {
      // It is stale as soon as this process has ended.
    }
    removeEmpty(this.#scratch);
    if (this.#madeBy === "us") removeEmpty(this.path);
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
  get #scratch(): string {
    return join(this.path, scratchName);
  }
  /** Downloads and unpacked media; removed when the samples are encoded. */
  get work(): string {
    return join(this.#scratch, "work");
  }

  #refuseUnfit({ resume }: { readonly resume: boolean }): void {
    const found = entriesOrRefuse(this.path).filter(
      (name) => !harmless.has(name) && !isEmptyOfOurs(this.path, name),
    );
    if (found.length > 0 && !isTrainingFolder(this.path)) throw foreign(this.path, found);
    if (resume || !this.#holdsTraining()) return;
    // Else the advice would be to resume what is still running.
    if (this.#lock === undefined) refuseHeld(this.#scratch, this.path);
    throw new AppError({
      code: "output_exists",
      message: `out: got ${this.path}, which already holds a training; expected a new or empty folder`,
      remedy: "Add --resume to go on with it, or choose another --out.",
      facts: { out: this.path },
    });
  }

  #holdsTraining(): boolean {
    return existsSync(this.lora) || entriesOf(this.checkpoints).some((name) => /^step-\d+$/.test(name));
  }

  /** What a killed training was writing. The lock is ours, so nobody is writing now. */
  #removeLeftovers(): void {
    for (const name of entriesOf(this.path)) {
      if (isNameBeside(name, isOutputName)) rmSync(join(this.path, name), { force: true });
    }
    for (const name of entriesOf(this.samples)) {
      if (isNameBeside(name, isSampleName)) rmSync(join(this.samples, name), { force: true });
    }
    rmSync(this.work, { recursive: true, force: true });
  }
}

/** Whether a folder is the output of a training, finished or not. */
export function isTrainingFolder(path: string): boolean {
  if (entriesOf(join(path, scratchName)).some(isLockName)) return true;
  const checkpoints = join(path, "checkpoints");
  const hasCheckpoint = entriesOf(checkpoints).some((name) =>
    existsSync(join(checkpoints, name, "state.json")),
  );
  return hasCheckpoint || isPlan(join(path, "plan.json"));
}

/** Many programs write a `plan.json`; ours names its base model's hash and the optimizer. */
function isPlan(path: string): boolean {
  try {
    const plan: Record<string, Record<string, unknown>> = JSON.parse(readFileSync(path, "utf8"));
    return typeof plan.base?.hash === "string" && plan.optimizer?.name !== undefined;
  } catch {
    return false;
  }
}

function isOutputName(name: string): boolean {
  return outputNames.files.some((file) => file === name);
}

function isSampleName(name: string): boolean {
  return /^(step-\d+|final-lora-(on|off))-\d+\.mp4$/.test(name);
}

/** A training that was stopped early leaves its folders with nothing in them. */
function isEmptyOfOurs(path: string, name: string): boolean {
  if (!outputNames.folders.some((folder) => folder === name)) return false;
  try {
    return readdirSync(join(path, name)).length === 0;
  } catch {
    return false;
  }
}

/** Names in a folder; none where there is no folder that can be read. */
function entriesOf(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** @throws AppError `file_unreadable`; `invalid_options` where there is something else than a folder */
function entriesOrRefuse(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw asUnwritable(error, path);
  }
}

/** For the end of a training: what cannot be removed any more does not change how it ended. */
function removeIfPossible(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // The next training in this folder removes it.
  }
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // There is something in it, which stays.
  }
}

function foreign(out: string, found: readonly string[]): AppError {
  const shown = `${found.slice(0, 5).join(", ")}${found.length > 5 ? ` and ${found.length - 5} more` : ""}`;
  return new AppError({
    code: "output_foreign",
    message: `out: got ${out}, which holds files that no training wrote (${shown}); expected a new or empty folder`,
    remedy: `Choose a folder of its own, such as --out ${join(out, "my-lora")}.`,
    facts: { out, found: found.slice(0, 20) },
  });
}

function asUnwritable(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const options = { facts: { out: path }, cause: error };
  if (code === "ENOTDIR" || code === "EEXIST") {
    const message = `out: got ${path}, which is a file or lies below one; expected a folder`;
    return new AppError({ code: "invalid_options", message, remedy: "Choose another --out.", ...options });
  }
  const reason = unwritableReason(code);
  if (reason === undefined) return error;
  return new AppError({
    code: "file_unreadable",
    message: `out: ${path} cannot be written: ${reason}`,
    remedy: "Choose another --out, or change the permissions of that folder.",
    ...options,
  });
}

/** A reader never meets half a file, not even after a power cut. */
export function writeJson(path: string, value: unknown): void {
  writeDurably(path, `${JSON.stringify(value, null, 2)}\n`);
}
