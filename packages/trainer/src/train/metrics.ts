/**
 * `metrics.jsonl`: one line a step, for plots and for the question "is it learning, and at which noise levels?".
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { writeDurably } from "@ltx-trainer/host";
import type { StepResult } from "./step.ts";

/** Upper ends of the noise-level bins; a loss at low noise says little about one at high noise. */
const binEnds = [0.2, 0.4, 0.6, 0.8, 1] as const;
/** Steps over which the mean loss of a bin is taken. */
const window = 200;

type Line = {
  readonly step: number;
  readonly loss: number;
  readonly sigma: number;
  readonly lr: number;
  readonly grad_norm: number;
  readonly seconds: number;
  readonly memory_bytes: number;
  /** Mean loss of the last 200 steps by noise level, lowest fifth first; null where none fell. */
  readonly loss_by_sigma: readonly (number | null)[];
};

export class Metrics {
  readonly #path: string;
  #recent: { readonly sigma: number; readonly loss: number }[] = [];

  /** Opens the file and drops what lies beyond `step`: those steps will be taken again. */
  constructor(path: string, step: number) {
    this.#path = path;
    const kept = existsSync(path) ? readLines(path).filter((line) => line.step <= step) : [];
    writeDurably(path, kept.map((line) => `${JSON.stringify(line)}\n`).join(""));
    this.#recent = kept.slice(-window);
  }

  add(
    step: number,
    result: StepResult,
    cost: { readonly seconds: number; readonly memoryBytes: number },
  ): void {
    this.#recent.push(result);
    if (this.#recent.length > window) this.#recent.shift();
    const line: Line = {
      step,
      loss: result.loss,
      sigma: result.sigma,
      lr: result.learningRate,
      grad_norm: result.gradNorm,
      seconds: Math.round(cost.seconds * 1e6) / 1e6,
      memory_bytes: cost.memoryBytes,
      loss_by_sigma: binEnds.map((end, index) => this.#meanBetween(binEnds[index - 1] ?? 0, end)),
    };
    // Somebody may have removed the output folder: the training, still in memory, is worth more.
    mkdirSync(dirname(this.#path), { recursive: true });
    appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
  }

  #meanBetween(from: number, to: number): number | null {
    const inBin = this.#recent.filter(({ sigma }) => sigma > from && sigma <= to);
    return inBin.length === 0 ? null : inBin.reduce((total, { loss }) => total + loss, 0) / inBin.length;
  }
}

/** Whole lines only: a killed process may have left half of the last one. */
function readLines(path: string): Line[] {
  const lines: Line[] = [];
  for (const text of readFileSync(path, "utf8").split("\n")) {
    try {
      if (text !== "") lines.push(JSON.parse(text));
    } catch {
      break;
    }
  }
  return lines;
}
