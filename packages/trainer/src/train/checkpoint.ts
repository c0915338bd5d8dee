/**
 * Checkpoints: everything a training needs to go on exactly where it was.
 *
 * A checkpoint is a folder, written under another name, flushed, and renamed: it is there whole or not at all. What a
 * step draws follows from seed and step number (`seeds.ts`), so LoRA weights, both Adam moments and the step are enough.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import { syncFolder } from "@ltx-trainer/host";
import type { Lora } from "@ltx-trainer/ltx";
import {
  type AdamW,
  areFinite,
  noGrad,
  type SafetensorsFile,
  scope,
  type Tensor,
  writeSafetensors,
} from "@ltx-trainer/torch";
import { z } from "zod";
import { DamagedFileError, openIntact, toFileFault } from "../files/tensor-file.ts";
import { writeJson } from "../job-folder.ts";

const State = z.object({
  version: z.literal(1),
  /** Steps taken. */
  step: z.int().min(1),
  optimizerSteps: z.int().min(0),
  /** Loss of the last step. */
  loss: z.number().nullable(),
  /** What must be equal for a resumed training to be the same training. */
  identity: z.record(z.string(), z.unknown()),
});
export type CheckpointState = z.infer<typeof State>;
export type Identity = CheckpointState["identity"];

/** What a checkpoint is saved from and restored into. */
export type Restored = { readonly lora: Lora; readonly optimizer: AdamW; readonly identity: Identity };

const namePattern = /^step-(\d+)$/;
const halfWrittenPattern = /^step-\d+\.\d+\.tmp$/;

/** Writes the state after `state.step` steps and removes all but the newest `keep`; returns its folder. */
export function saveCheckpoint(
  root: string,
  what: {
    readonly lora: Lora;
    readonly optimizer: AdamW;
    readonly state: CheckpointState;
    readonly keep: number;
  },
): string {
  const name = `step-${String(what.state.step).padStart(6, "0")}`;
  const beside = join(root, `${name}.${process.pid}.tmp`);
  const target = join(root, name);
  try {
    rmSync(beside, { recursive: true, force: true });
    mkdirSync(beside, { recursive: true });
    writeSafetensors(join(beside, "lora.safetensors"), what.lora.parameters());
    writeSafetensors(join(beside, "optimizer.safetensors"), what.optimizer.state());
    writeJson(join(beside, "state.json"), what.state);
    syncFolder(beside);
    rmSync(target, { recursive: true, force: true });
    renameSync(beside, target);
  } catch (error) {
    // On a full disk what was written would be in the way of the next attempt.
    rmSync(beside, { recursive: true, force: true });
    throw error;
  }
  syncFolder(root);
  for (const { folder } of checkpointsIn(root).slice(what.keep)) rmSync(folder, { recursive: true });
  return target;
}

/** Removes what a killed process left of a checkpoint it was writing. Nobody else may be writing to `root`. */
export function removeHalfWritten(root: string): void {
  if (!existsSync(root)) return;
  for (const name of readdirSync(root)) {
    if (halfWrittenPattern.test(name)) rmSync(join(root, name), { recursive: true });
  }
}

/** Every checkpoint there is, newest first; whether it can be used is not known yet. */
export function checkpointsIn(root: string): { readonly folder: string; readonly step: number }[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .map((name) => ({ folder: join(root, name), step: Number(namePattern.exec(name)?.[1] ?? -1) }))
    .filter(({ step }) => step >= 0)
    .toSorted((a, b) => b.step - a.step);
}

/**
 * Puts a checkpoint's weights and moments back; returns its state. Everything is checked before anything is changed.
 *
 * @throws AppError `checkpoint_mismatch` naming every difference, when it belongs to another training
 * @throws AppError `checkpoint_damaged` when it does not hold what was written to it
 */
export function restoreCheckpoint(folder: string, into: Restored): CheckpointState {
  try {
    const state = readState(join(folder, "state.json"));
    refuseOther(folder, state.identity, into.identity);
    restoreTensors(folder, state, into);
    return state;
  } catch (cause) {
    if (!(cause instanceof DamagedFileError)) throw cause;
    throw new AppError({
      code: "checkpoint_damaged",
      message: `checkpoint: ${cause.message}`,
      remedy: "Start anew with another --out, or remove this checkpoint's folder and --resume.",
      facts: { folder },
      cause,
    });
  }
}

function readState(path: string): CheckpointState {
  try {
    return State.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    if (error instanceof z.ZodError || error instanceof SyntaxError)
      throw new DamagedFileError(path, "does not hold a training's state", { cause: error });
    throw toFileFault(path, error);
  }
}

function restoreTensors(folder: string, state: CheckpointState, { lora, optimizer }: Restored): void {
  const path = join(folder, "lora.safetensors");
  const parameters = lora.parameters();
  const opened: SafetensorsFile[] = [];
  const open = (file: string, expected: ReadonlyMap<string, Tensor>) => {
    const tensors = openIntact(file, expected);
    opened.push(tensors);
    return tensors;
  };
  try {
    const weights = open(path, parameters);
    const moments = open(join(folder, "optimizer.safetensors"), optimizer.state());
    scope(() => {
      if (!areFinite([...parameters.keys()].map((name) => weights.tensor(name))))
        throw new DamagedFileError(path, "holds weights that are not finite");
    });
    for (const [name, parameter] of parameters)
      scope(() => noGrad(() => parameter.copy_(weights.tensor(name))));
    optimizer.loadState(moments, state.optimizerSteps);
  } finally {
    for (const file of opened) file.close();
  }
}

function refuseOther(folder: string, before: Identity, identity: Identity): void {
  const differences = [...new Set([...Object.keys(before), ...Object.keys(identity)])]
    .filter((name) => JSON.stringify(before[name]) !== JSON.stringify(identity[name]))
    .map((name) => `${name}: was ${JSON.stringify(before[name])}, is now ${JSON.stringify(identity[name])}`);
  if (differences.length === 0) return;
  throw new AppError({
    code: "checkpoint_mismatch",
    message: `resume: ${folder} belongs to another training.\n${differences.join("\n")}`,
    remedy:
      differences.length === 1 && differences[0]?.startsWith("steps:")
        ? "The learning rate falls over all steps, so another number of steps is another training: start anew with another --out."
        : "Use the options and data it was started with, or start anew with another --out.",
    facts: { differences },
  });
}
