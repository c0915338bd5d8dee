/** The loop around real steps of a tiny model: what it writes, how it goes on, and when it stops. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError, type JobEvent, type OnBadCheckpoint } from "@ltx-trainer/contract";
import { noGrad, SafetensorsFile, type Tensor, writeSafetensors } from "@ltx-trainer/torch";
import { afterAll, describe, expect, test } from "vitest";
import type { Plan } from "../plan.ts";
import { Reporter } from "../process/events.ts";
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
  readonly onBad?: OnBadCheckpoint;
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
    lora: { rank: 4, alpha: options.alpha ?? 4 },
  } as unknown as Plan;
  const context: LoopContext = {
    ...made,
    plan,
    folder,
    identity: { seed },
    onBadCheckpoint: options.onBad ?? "stop",
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
    expect(messagesOf(second.events).join()).toContain("resumed after step 1 from checkpoints/step-000001");
    expect(second.metricSteps()).toEqual([1, 2, 3, 4]);
    expect(second.weights()).toEqual(whole.weights());
  });
});

describe("a checkpoint that cannot be used", () => {
  const options = { steps: 6, interval: 2, keep: 3 };
  const newest = "step-000006";

  /** A finished training in `folder`, so that checkpoints of steps 2, 4 and 6 are there; its weights. */
  async function trained(folder: string) {
    const run = training({ ...options, folder });
    await trainLoop(run.context);
    return { checkpoints: run.folder.checkpoints, weights: run.weights() };
  }

  const cut = (path: string) => truncateSync(path, Math.floor(statSync(path).size / 2));
  const zero = (path: string) => writeFileSync(path, Buffer.alloc(statSync(path).size));
  const damages: readonly (readonly [string, (folder: string) => void])[] = [
    ["cut short", (folder) => cut(join(folder, "lora.safetensors"))],
    ["full of zeros", (folder) => zero(join(folder, "optimizer.safetensors"))],
    ["with an empty state", (folder) => truncateSync(join(folder, "state.json"), 0)],
    ["without its moments", (folder) => rmSync(join(folder, "optimizer.safetensors"))],
    ["with other shapes", (folder) => otherShapes(join(folder, "lora.safetensors"))],
    ["with weights that are not finite", (folder) => notFinite(join(folder, "lora.safetensors"))],
  ];

  test.each(damages)("%s: the one before it is used, and the weights end the same", async (what, damage) => {
    const whole = await trained(`before, ${what}`);
    damage(join(whole.checkpoints, newest));
    const again = training({ ...options, folder: `before, ${what}` });
    await trainLoop(again.context);
    expect(again.weights()).toEqual(whole.weights);
    const said = messagesOf(again.events);
    expect(said).toContain(`resume: checkpoints/${newest} is damaged; set aside as ${newest}.unusable`);
    expect(said).toContain("resumed after step 4 from checkpoints/step-000004");
    expect(readdirSync(whole.checkpoints).toSorted()).toEqual([
      "step-000002",
      "step-000004",
      "step-000006",
      "step-000006.unusable",
    ]);
  });

  test("when all are damaged, a command ends with the newest one's name, and a server's job begins anew", async () => {
    const whole = await trained("all damaged");
    for (const name of readdirSync(whole.checkpoints))
      writeFileSync(join(whole.checkpoints, name, "state.json"), "{");
    const before = readdirSync(whole.checkpoints);
    const stopped = training({ ...options, folder: "all damaged" });
    const failure = await failureOf(trainLoop(stopped.context));
    expect(failure).toMatchObject({ code: "checkpoint_damaged", exitCode: 1 });
    expect(failure.message).toContain(join(whole.checkpoints, newest, "state.json"));
    expect(failure.remedy).toBe("None of the 3 checkpoints is intact. Start anew with another --out.");
    expect(readdirSync(whole.checkpoints)).toEqual(before);

    const server = training({ ...options, folder: "all damaged", onBad: "restart" });
    await trainLoop(server.context);
    expect(server.weights()).toEqual(whole.weights);
    expect(server.metricSteps()).toEqual([1, 2, 3, 4, 5, 6]);
    const said = messagesOf(server.events).filter((message) => message.startsWith("resume:"));
    expect(said).toHaveLength(4);
    expect(said.at(-1)).toBe("resume: no checkpoint can be used; training starts again from step 0");
  });

  test("of another training, a command is told the difference, and a server's job begins anew", async () => {
    const { checkpoints } = await trained("other");
    const before = readdirSync(checkpoints);
    const stopped = training({ ...options, folder: "other", seed: 7 });
    const failure = await failureOf(trainLoop(stopped.context));
    expect(failure).toMatchObject({ code: "checkpoint_mismatch", exitCode: 2 });
    expect(failure.message).toContain("seed: was 0, is now 7");
    expect(readdirSync(checkpoints)).toEqual(before);
    const server = training({ ...options, folder: "other", seed: 7, onBad: "restart" });
    await trainLoop(server.context);
    expect(messagesOf(server.events)).toContain(
      `resume: checkpoints/${newest} belongs to another training; set aside as ${newest}.unusable`,
    );
    expect(server.metricSteps()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("half written by a process that was killed is removed; other files are not", async () => {
    const run = training({ ...options, folder: "half" });
    const { checkpoints } = run.folder;
    mkdirSync(join(checkpoints, "step-000004.123.tmp"));
    writeFileSync(join(checkpoints, "step-000004.123.tmp", "lora.safetensors"), "half");
    for (const name of ["notes.tmp", "step-000004.old.tmp"]) writeFileSync(join(checkpoints, name), "mine");
    await trainLoop(run.context);
    expect(
      readdirSync(checkpoints)
        .filter((name) => name.endsWith(".tmp"))
        .toSorted(),
    ).toEqual(["notes.tmp", "step-000004.old.tmp"]);
  });
});

/** The file's tensors with one row less each. */
function otherShapes(path: string): void {
  rewrite(path, (tensor) => tensor.narrow(0, 0, tensor.size(0) - 1));
}

function notFinite(path: string): void {
  rewrite(path, (tensor) => tensor.mul(Number.POSITIVE_INFINITY));
}

function rewrite(path: string, change: (tensor: Tensor) => Tensor): void {
  const file = SafetensorsFile.open(path);
  const tensors = file.names().map((name) => [name, change(file.tensor(name)).clone()] as const);
  writeSafetensors(path, new Map(tensors));
  file.close();
}

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
    expect(failure.remedy).toContain("a --lora-alpha nearer the rank (it was 1e+38 for rank 4)");
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
