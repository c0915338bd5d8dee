/**
 * A resumable training: one checkpoint file, one log, a learning-rate schedule, and a progress line.
 *
 * The whole state (weights, optimizer moments, random state, step) is in one safetensors file. It is written beside the old
 * one and renamed, so a run can be killed at any time. What is drawn depends on the step alone.
 */
import { appendFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  type Generator,
  noGrad,
  SafetensorsFile,
  scope,
  type Tensor,
  writeSafetensors,
} from "@ltx-trainer/torch";

/** What of an optimizer a checkpoint needs: AdamW and Muon have it. */
type OptimizerState = {
  state(): Map<string, Tensor>;
  loadState(tensors: { tensor(name: string): Tensor; has(name: string): boolean }, stepCount: number): void;
};

export type RunState = {
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly optimizer: OptimizerState;
  readonly generator: Generator;
};

const minutesBetweenCheckpoints = 2;

export class TrainingRun {
  readonly folder: string;
  readonly #state: RunState;
  #savedAt = Date.now();

  constructor(folder: string, state: RunState) {
    mkdirSync(folder, { recursive: true });
    this.folder = folder;
    this.#state = state;
  }

  get #file(): string {
    return join(this.folder, "checkpoint.safetensors");
  }

  /** Puts everything back as the checkpoint left it; returns the number of finished steps, 0 without a checkpoint. */
  resume(): number {
    if (!existsSync(this.#file)) return 0;
    const file = SafetensorsFile.open(this.#file);
    const step = Number(file.metadata.step);
    const { parameters, optimizer, generator } = this.#state;
    noGrad(() => {
      for (const [name, parameter] of parameters)
        scope(() => void parameter.copy_(file.tensor(`model.${name}`)));
    });
    optimizer.loadState(
      { has: (name) => file.has(`optimizer.${name}`), tensor: (name) => file.tensor(`optimizer.${name}`) },
      step,
    );
    scope(() => generator.setState(file.tensor("generator").clone()));
    file.close();
    return step;
  }

  save(step: number): void {
    const { parameters, optimizer, generator } = this.#state;
    scope(() => {
      const tensors = new Map<string, Tensor>([["generator", generator.getState()]]);
      for (const [name, tensor] of parameters) tensors.set(`model.${name}`, tensor.detach());
      for (const [name, tensor] of optimizer.state()) tensors.set(`optimizer.${name}`, tensor);
      writeSafetensors(this.#file, tensors, { step: String(step) });
    });
    this.#savedAt = Date.now();
  }

  /** Saves when the last checkpoint is two minutes old. */
  saveNowAndThen(step: number): void {
    if (Date.now() - this.#savedAt > minutesBetweenCheckpoints * 60_000) this.save(step);
  }

  /** Appends one JSON object to `metrics.jsonl`. */
  log(metrics: Readonly<Record<string, number | string>>): void {
    appendFileSync(join(this.folder, "metrics.jsonl"), `${JSON.stringify(metrics)}\n`);
  }
}

/**
 * The learning rate's share at a step: up over the warm-up, then constant, then down in a straight line over the last
 * part. A run can so be stopped early: give it fewer steps and only the way down is left to do.
 */
export function warmConstantDecay(
  step: number,
  options: { warmup: number; decay: number; steps: number },
): number {
  const up = Math.min(1, (step + 1) / options.warmup);
  const down = Math.min(1, Math.max(0, (options.steps - step) / options.decay));
  return up * (0.02 + 0.98 * down);
}

/** Running means of named numbers, and the speed, between two lines of progress. */
export class Progress {
  readonly #sums = new Map<string, number>();
  #count = 0;
  #since = Date.now();

  add(values: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(values))
      this.#sums.set(name, (this.#sums.get(name) ?? 0) + value);
    this.#count++;
  }

  /** Means since the last call, and seconds per step; then starts over. */
  take(): { readonly means: Record<string, number>; readonly secondsPerStep: number } {
    const means = Object.fromEntries([...this.#sums].map(([name, sum]) => [name, sum / this.#count]));
    const secondsPerStep = (Date.now() - this.#since) / 1000 / Math.max(1, this.#count);
    this.#sums.clear();
    this.#count = 0;
    this.#since = Date.now();
    return { means, secondsPerStep };
  }
}

/** "step 120/4000 lr 1.00e-3 l1 0.0412 0.31 s/step 20 min left" */
export function progressLine(
  step: number,
  steps: number,
  lr: number,
  progress: ReturnType<Progress["take"]>,
): string {
  const numbers = Object.entries(progress.means).map(([name, value]) => `${name} ${value.toPrecision(4)}`);
  const minutes = ((steps - step) * progress.secondsPerStep) / 60;
  const speed = `${progress.secondsPerStep.toFixed(2)} s/step`;
  return `step ${step}/${steps}  lr ${lr.toExponential(2)}  ${numbers.join("  ")}  ${speed}  ${minutes.toFixed(1)} min left`;
}

/** Ends a loop between two steps: after SIGINT or SIGTERM, or when the minutes are over. */
export function stopper(minutes: number): () => boolean {
  const end = Date.now() + minutes * 60_000;
  let asked = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => (asked = true));
  return () => asked || Date.now() > end;
}

/** The event loop's turn: without it a synchronous loop never hears a signal. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
