/**
 * Where a training begins: after its newest usable checkpoint, or at step 0.
 *
 * A damaged checkpoint costs steps, never the training: the one before it leads to the same weights, bit for bit. A
 * checkpoint of another training is refused, unless the job says to begin anew (`on_bad_checkpoint`), which a server
 * sets because nobody is there to decide.
 */
import { existsSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { AppError, type OnBadCheckpoint } from "@ltx-trainer/contract";
import type { Reporter } from "../process/events.ts";
import { checkpointsIn, type Restored, removeHalfWritten, restoreCheckpoint } from "./checkpoint.ts";

export type Beginning = { readonly step: number; readonly loss: number | null };

/**
 * Restores the newest checkpoint that can be used and says which. Unusable newer ones are renamed to
 * `<name>.unusable`, so that they are never counted as checkpoints again.
 *
 * @throws AppError `checkpoint_mismatch` or `checkpoint_damaged` when `onBad` is "stop" and no checkpoint will do
 */
export function resumeTraining(
  root: string,
  into: Restored,
  { onBad, reporter }: { readonly onBad: OnBadCheckpoint; readonly reporter: Reporter },
): Beginning {
  removeHalfWritten(root);
  const unusable: { readonly folder: string; readonly error: AppError }[] = [];
  const giveUpOn = () => {
    for (const { folder, error } of unusable) setAside(folder, error, reporter);
  };
  for (const { folder } of checkpointsIn(root)) {
    try {
      const { step, loss } = restoreCheckpoint(folder, into);
      giveUpOn();
      reporter.info(`resumed after step ${step} from checkpoints/${basename(folder)}`);
      return { step, loss };
    } catch (error) {
      const isBad = error instanceof AppError && badCodes.has(error.code);
      if (!isBad || (error.code === "checkpoint_mismatch" && onBad === "stop")) throw error;
      unusable.push({ folder, error });
    }
  }
  const [newest] = unusable;
  if (newest === undefined) return { step: 0, loss: null };
  if (onBad === "stop") throw noneUsable(newest.error, unusable.length);
  giveUpOn();
  reporter.warn("resume: no checkpoint can be used; training starts again from step 0");
  return { step: 0, loss: null };
}

function noneUsable(cause: AppError, count: number): AppError {
  const { code, message, facts } = cause;
  const others =
    count === 1 ? "There is no other checkpoint." : `None of the ${count} checkpoints is intact.`;
  return new AppError({
    ...{ code, message, facts, cause },
    remedy: `${others} Start anew with another --out.`,
  });
}

const badCodes: ReadonlySet<string> = new Set(["checkpoint_damaged", "checkpoint_mismatch"]);

function setAside(folder: string, error: AppError, reporter: Reporter): void {
  const name = basename(folder);
  const reason = error.code === "checkpoint_mismatch" ? "belongs to another training" : "is damaged";
  const aside = `${folder}.unusable`;
  rmSync(aside, { recursive: true, force: true });
  renameSync(folder, aside);
  reporter.warn(`resume: checkpoints/${name} ${reason}; set aside as ${name}.unusable`, {
    code: error.code,
    checkpoint: name,
  });
}

/**
 * Looks whether there is anything to resume in an output folder, before any work is done.
 *
 * @throws AppError `checkpoint_not_found` when no training was ever started there
 */
export function requireTraining(out: string): void {
  const traces = ["checkpoints", "plan.json", "lora.safetensors"].map((name) => join(out, name));
  if (traces.some(existsSync)) return;
  throw new AppError({
    code: "checkpoint_not_found",
    message: `resume: got ${out}, expected an output folder that holds a training to continue`,
    remedy: "Name the folder of the interrupted training with --out, or leave out --resume to start anew.",
    facts: { out },
  });
}
