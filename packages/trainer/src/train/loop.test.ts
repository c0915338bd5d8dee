/** The loop around real steps of a tiny model: what it writes, how it goes on, and when it stops. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError, type JobEvent } from "@ltx-trainer/contract";
import { noGrad } from "@ltx-trainer/torch";
import { afterAll, describe, expect, test } from "vitest";
import { Reporter } from "../events.ts";
import type { Plan } from "../plan.ts";
import { type LoopContext, trainLoop } from "./loop.ts";
import { freshTraining } from "./testing/step-case.ts";

const root = mkdtempSync(join(tmpdir(), "loop-"));
afterAll(() => rmSync(root, { recursive: true }));

type Options = {
  readonly folder: string;
  readonly steps?: number;
  readonly lr?: number;
  readonly alpha?: number;
  readonly interval?: number;
  readonly keep?: number;
  readonly previews?: number;
  readonly seed?: number;
};

/** A loop over a fresh tiny training in `root/<folder>`; equal options give equal trainings. */
function training(options: Options) {
  const { steps = 4, interval = 2, keep = 2, previews = 0, seed = 0 } = options;
  const made = freshTraining({}, { ...options, steps });
  const path = join(root, options.folder);
  const folder = { checkpoints: join(path, "checkpoints"), metrics: join(path, "metrics.jsonl") };
  mkdirSync(folder.checkpoints, { recursive: true });
  const events: JobEvent[] = [];
  const stop = new AbortController();
  const previewed: number[] = [];
  const plan = {
    ...made.plan,
    device: "cpu",
    checkpoints: { interval, keep },
    validation: { interval: previews },
  } as unknown as Plan;
  const context: LoopContext = {
    ...made,
    plan,
    folder,
    identity: { seed },
    reporter: new Reporter((event) => events.push(event)),
    signal: stop.signal,
    preview: async (step) => void previewed.push(step),
  };
  const weights = () => [...made.lora.parameters().values()].map((tensor) => tensor.toArray());
  const metricSteps = () => linesOf(folder.metrics).map(({ step }) => step);
  return { context, events, stop, previewed, folder, weights, metricSteps };
}

function linesOf(path: string): { readonly step: number; readonly loss: number }[] {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line));
}

const messagesOf = (events: readonly JobEvent[]) =>
  events.flatMap((event) => ("message" in event ? [event.message] : []));

async function failureOf(promise: Promise<unknown>): Promise<AppError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AppError);
  return error as AppError;
}

describe("a training", () => {
  test("takes every step once, and leaves metrics, checkpoints and previews at their intervals", async () => {
    const run = training({ folder: "whole", steps: 5, interval: 2, previews: 2 });
    const loss = await trainLoop(run.context);
    expect(run.metricSteps()).toEqual([1, 2, 3, 4, 5]);
    expect(linesOf(run.folder.metrics).at(-1)?.loss).toBe(loss);
    expect(readdirSync(run.folder.checkpoints).toSorted()).toEqual(["step-000004", "step-000005"]);
    expect(run.previewed).toEqual([2, 4]);
    const progress = run.events.filter((event) => event.type === "progress");
    expect(progress.map((event) => event.step)).toEqual([1, 2, 3, 4, 5]);
  });

  test("stopped and gone on with, it ends with the same weights to the bit", async () => {
    const whole = training({ folder: "uninterrupted" });
    await trainLoop(whole.context);
    const first = training({ folder: "interrupted" });
    first.stop.abort();
    const failure = await failureOf(trainLoop(first.context));
    expect(failure).toMatchObject({ code: "interrupted", exitCode: 130 });
    const second = training({ folder: "interrupted" });
    await trainLoop(second.context);
    expect(messagesOf(second.events).join()).toContain("resumed after step 1");
    expect(second.metricSteps()).toEqual([1, 2, 3, 4]);
    expect(second.weights()).toEqual(whole.weights());
  });
});

describe("divergence", () => {
  test("at an absurd learning rate it ends with a code, a remedy and the last good checkpoint", async () => {
    const run = training({ folder: "absurd", lr: 1e30, interval: 1 });
    const failure = await failureOf(trainLoop(run.context));
    expect(failure).toMatchObject({ code: "training_diverged", exitCode: 2, retryable: false });
    expect(failure.message).toMatch(/training diverged at step 2 of 4: got loss (NaN|Infinity)/);
    expect(failure.message).toContain(`step 1, is kept in ${join(run.folder.checkpoints, "step-000001")}`);
    expect(failure.remedy).toContain("lower --learning-rate (it was 1e+30)");
    expect(readdirSync(run.folder.checkpoints)).toEqual(["step-000001"]);
    expect(run.weights().flat().every(Number.isFinite)).toBe(true);
  });

  test("a gradient that is not finite is enough, though the loss still is", async () => {
    const run = training({ folder: "gradient", alpha: 1e38 });
    const before = run.weights();
    const failure = await failureOf(trainLoop(run.context));
    expect(failure.code).toBe("training_diverged");
    expect(failure.message).toMatch(/at step 1 of 4: got loss \d[\d.]* and gradient norm Infinity/);
    expect(failure.message).toContain("No checkpoint was written.");
    expect(failure.facts).toMatchObject({ step: 1, gradNorm: "Infinity", checkpoint: null });
    expect(run.weights()).toEqual(before);
    expect(readdirSync(run.folder.checkpoints)).toEqual([]);
  });

  test("weights that overflow in the last step are never a checkpoint or a result", async () => {
    const run = training({ folder: "last", lr: 1e37, steps: 1 });
    // Weight decay overflows these; B is zero, so that loss and gradient do not show it.
    const { modules } = run.context.lora;
    for (const { adapter } of modules.values()) noGrad(() => adapter.a_RD.mul_(1e10));
    const failure = await failureOf(trainLoop(run.context));
    expect(failure.code).toBe("training_diverged");
    expect(failure.message).toContain("got LoRA weights that are not finite");
    expect(existsSync(join(run.folder.checkpoints, "step-000001"))).toBe(false);
  });
});
