/**
 * Checkpoints: everything a training needs to go on exactly where it was.
 *
 * A checkpoint is a folder, written under another name, flushed, and renamed: it is there whole or not at all. What a
 * step draws follows from seed and step number (`seeds.ts`), so LoRA weights, both Adam moments and the step are enough.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import type { Lora } from "@ltx-trainer/ltx";
import { type AdamW, noGrad, SafetensorsFile, scope, writeSafetensors } from "@ltx-trainer/torch";
import { z } from "zod";
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

const namePattern = /^step-(\d+)$/;

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
  rmSync(beside, { recursive: true, force: true });
  mkdirSync(beside, { recursive: true });
  writeSafetensors(join(beside, "lora.safetensors"), what.lora.parameters());
  writeSafetensors(join(beside, "optimizer.safetensors"), what.optimizer.state());
  writeJson(join(beside, "state.json"), what.state);
  flushFolder(beside);
  const target = join(root, name);
  rmSync(target, { recursive: true, force: true });
  renameSync(beside, target);
  flushFolder(root);
  prune(root, what.keep);
  return target;
}

/** The newest checkpoint's state and folder; undefined when there is none. @throws AppError `checkpoint_damaged` */
export function newestCheckpoint(
  root: string,
): { readonly folder: string; readonly state: CheckpointState } | undefined {
  const newest = stepsIn(root).at(-1);
  if (!newest) return undefined;
  const folder = join(root, newest.name);
  try {
    return { folder, state: State.parse(JSON.parse(readFileSync(join(folder, "state.json"), "utf8"))) };
  } catch (cause) {
    throw new AppError({
      code: "checkpoint_damaged",
      message: `${folder}: state.json cannot be read`,
      remedy: "Delete this checkpoint folder; --resume then goes on from the one before it.",
      cause,
    });
  }
}

/**
 * Puts a checkpoint's weights and moments back.
 *
 * @throws AppError `checkpoint_mismatch` naming every difference, when it belongs to another training
 */
export function restoreCheckpoint(
  checkpoint: { readonly folder: string; readonly state: CheckpointState },
  into: { readonly lora: Lora; readonly optimizer: AdamW; readonly identity: Identity },
): void {
  refuseOther(checkpoint, into.identity);
  const weights = SafetensorsFile.open(join(checkpoint.folder, "lora.safetensors"));
  const moments = SafetensorsFile.open(join(checkpoint.folder, "optimizer.safetensors"));
  try {
    for (const [name, parameter] of into.lora.parameters()) {
      scope(() => noGrad(() => parameter.copy_(weights.tensor(name))));
    }
    into.optimizer.loadState(moments, checkpoint.state.optimizerSteps);
  } finally {
    weights.close();
    moments.close();
  }
}

function refuseOther(
  checkpoint: { readonly folder: string; readonly state: CheckpointState },
  identity: Identity,
): void {
  const before = checkpoint.state.identity;
  const differences = [...new Set([...Object.keys(before), ...Object.keys(identity)])]
    .filter((name) => JSON.stringify(before[name]) !== JSON.stringify(identity[name]))
    .map((name) => `${name}: was ${JSON.stringify(before[name])}, is now ${JSON.stringify(identity[name])}`);
  if (differences.length === 0) return;
  throw new AppError({
    code: "checkpoint_mismatch",
    message: `resume: ${checkpoint.folder} belongs to another training.\n${differences.join("\n")}`,
    remedy: "Use the options and data it was started with, or start anew with another --out.",
    facts: { differences },
  });
}

function stepsIn(root: string): { readonly name: string; readonly step: number }[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .map((name) => ({ name, step: Number(namePattern.exec(name)?.[1] ?? -1) }))
    .filter(({ step }) => step >= 0)
    .toSorted((a, b) => a.step - b.step);
}

function prune(root: string, keep: number): void {
  for (const { name } of stepsIn(root).slice(0, -keep)) rmSync(join(root, name), { recursive: true });
}

function flushFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  fsyncSync(descriptor);
  closeSync(descriptor);
}
