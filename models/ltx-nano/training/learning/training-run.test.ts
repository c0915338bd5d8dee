/** A killed pre-training resumes with the same weights, random numbers and optimizer state. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdamW, backward, Generator, keep, randn, scope, type Tensor, zeros } from "@ltx-trainer/torch";
import { expect, test } from "vitest";
import { TrainingRun, warmConstantDecay } from "./training-run.ts";

type Toy = { weight: Tensor; optimizer: AdamW; generator: Generator; run: TrainingRun };

function makeToy(folder: string): Toy {
  const weight = keep(zeros([4])).requiresGrad_();
  const parameters = new Map([["weight", weight]]);
  const optimizer = new AdamW(parameters, { lr: 0.1 });
  const generator = new Generator(3);
  return { weight, optimizer, generator, run: new TrainingRun(folder, { parameters, optimizer, generator }) };
}

function train({ weight, optimizer, generator }: Toy, steps: number): void {
  for (let step = 0; step < steps; step++) {
    scope(() => {
      backward([
        weight
          .sub(randn([4], { generator }))
          .square()
          .sum(),
      ]);
      optimizer.step();
      optimizer.zeroGrad();
    });
  }
}

test("saving, restoring into fresh objects and going on equals never having stopped", () => {
  const folder = mkdtempSync(join(tmpdir(), "nano-run-"));
  try {
    const whole = makeToy(folder);
    train(whole, 7);
    const first = makeToy(folder);
    train(first, 3);
    first.run.save(3);
    const second = makeToy(folder);
    expect(second.run.resume()).toBe(3);
    train(second, 4);
    expect(second.weight.toArray()).toEqual(whole.weight.toArray());
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the learning rate warms up, stays, and comes down at the end", () => {
  const shape = { warmup: 10, decay: 20, steps: 100 };
  expect(warmConstantDecay(0, shape)).toBeCloseTo(0.1);
  expect(warmConstantDecay(50, shape)).toBe(1);
  expect(warmConstantDecay(90, shape)).toBeCloseTo(0.51);
  expect(warmConstantDecay(100, shape)).toBeCloseTo(0.02);
});
