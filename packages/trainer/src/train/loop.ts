/**
 * The training loop: step, log, checkpoint, sample, stop.
 */
import { AppError, type OnBadCheckpoint } from "@ltx-trainer/contract";
import type { Lora } from "@ltx-trainer/ltx";
import { areFinite, memoryStats, parseDevice, resetPeakMemory } from "@ltx-trainer/torch";
import { nextTurn } from "../cache/encode.ts";
import type { JobFolder } from "../job-folder.ts";
import type { Plan } from "../plan.ts";
import type { Reporter } from "../process/events.ts";
import { interruption } from "../process/interrupt.ts";
import { checkpointsIn, type Identity, saveCheckpoint } from "./checkpoint.ts";
import { Metrics } from "./metrics.ts";
import { resumeTraining } from "./resume.ts";
import { isFiniteStep, type StepResult, type TrainingStep } from "./step.ts";

export type LoopContext = {
  readonly plan: Plan;
  readonly folder: Pick<JobFolder, "checkpoints" | "metrics">;
  readonly lora: Lora;
  readonly step: TrainingStep;
  readonly identity: Identity;
  /** What to do when a checkpoint is there and none can be used. */
  readonly onBadCheckpoint: OnBadCheckpoint;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
  /** Samples the validation prompts; called with the steps done. */
  readonly preview: (step: number) => Promise<void>;
};

/** Steps over which the step time shown is averaged. */
const averagedSteps = 20;

/**
 * Trains to the plan's last step, from the newest checkpoint if there is one; returns the last loss.
 *
 * @throws AppError `training_diverged` before a weight or checkpoint holds a value that is not finite
 */
export async function trainLoop(context: LoopContext): Promise<number | null> {
  const { plan, reporter, signal } = context;
  const { optimizer } = context.step;
  const resumed = resumeTraining(
    context.folder.checkpoints,
    { lora: context.lora, optimizer, identity: context.identity },
    { onBad: context.onBadCheckpoint, reporter },
  );
  let lastLoss = resumed.loss;
  const metrics = new Metrics(context.folder.metrics, resumed.step);
  const times: number[] = [];
  reporter.phase("train", "Training", { done: resumed.step, total: plan.steps });
  resetPeakMemory(parseDevice(plan.device));
  for (let step = resumed.step; step < plan.steps; step++) {
    const started = performance.now();
    const result = context.step.take(step);
    if (!isFiniteStep(result)) throw diverged(context, step + 1, result);
    const seconds = (performance.now() - started) / 1000;
    times.push(seconds);
    if (times.length > averagedSteps) times.shift();
    lastLoss = result.loss;
    report(context, metrics, step + 1, result, times);
    const isLast = step + 1 === plan.steps;
    const showsPreview = isDue(step + 1, plan.validation.interval) && !isLast;
    // Signals arrive here and in a preview: a checkpoint is written before either can end the training.
    await nextTurn();
    if (isDue(step + 1, plan.checkpoints.interval) || isLast || showsPreview || signal.aborted) {
      checkpoint(context, step + 1, lastLoss);
    }
    if (signal.aborted && !isLast) throw interruption("", {});
    if (showsPreview) {
      await context.preview(step + 1);
      resetPeakMemory(parseDevice(plan.device));
    }
  }
  return lastLoss;
}

function isDue(step: number, interval: number): boolean {
  return interval > 0 && step % interval === 0;
}

function checkpoint(context: LoopContext, step: number, loss: number | null): void {
  const { lora, identity, plan, folder } = context;
  const { optimizer } = context.step;
  if (!areFinite(lora.parameters().values())) throw diverged(context, step);
  const state = { version: 1 as const, step, optimizerSteps: optimizer.stepCount, loss, identity };
  const path = saveCheckpoint(folder.checkpoints, { lora, optimizer, state, keep: plan.checkpoints.keep });
  context.reporter.event({ type: "checkpoint", path, step });
}

function report(
  context: LoopContext,
  metrics: Metrics,
  step: number,
  result: StepResult,
  times: readonly number[],
): void {
  const { plan, reporter } = context;
  const memoryBytes = memoryInUse(plan);
  metrics.add(step, result, { seconds: times.at(-1) ?? 0, memoryBytes });
  const secondsPerStep = times.reduce((total, seconds) => total + seconds, 0) / times.length;
  reporter.event({
    type: "progress",
    step,
    total: plan.steps,
    loss: result.loss,
    lr: result.learningRate,
    secondsPerStep,
    etaSeconds: secondsPerStep * (plan.steps - step),
    memoryBytes,
  });
}

/** The most the GPU held during training steps, where there is one; else what the process holds. */
function memoryInUse(plan: Plan): number {
  const device = parseDevice(plan.device);
  const stats = device === "cpu" ? undefined : memoryStats(device);
  return stats?.peakBytes ?? process.memoryUsage.rss();
}

/** @param result of the step, when it was the step and not the weights after it that showed it */
function diverged({ plan, folder }: LoopContext, step: number, result?: StepResult): AppError {
  const [last] = checkpointsIn(folder.checkpoints);
  const what = result
    ? `got loss ${result.loss} and gradient norm ${result.gradNorm}`
    : "got LoRA weights that are not finite";
  const kept = last
    ? `The last good checkpoint, of step ${last.step}, is kept in ${last.folder}.`
    : "No checkpoint was written.";
  return new AppError({
    code: "training_diverged",
    message: `training diverged at step ${step} of ${plan.steps}: ${what}, expected finite numbers. ${kept}`,
    remedy: `Train again with a lower --learning-rate (it was ${plan.optimizer.learningRate})${alphaHint(plan)} and another --out.`,
    facts: {
      step,
      learningRate: plan.optimizer.learningRate,
      ...(result && { loss: String(result.loss), gradNorm: String(result.gradNorm) }),
      checkpoint: last?.folder ?? null,
    },
  });
}

/** A scale far above 1 has the effect of a learning rate as much higher. */
function alphaHint({ lora: { rank, alpha } }: Plan): string {
  return alpha > rank ? `, a --lora-alpha nearer the rank (it was ${alpha} for rank ${rank})` : "";
}
