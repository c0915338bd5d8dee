import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import { injectLora, Transformer } from "@ltx-trainer/ltx";
import { AdamW, Generator, Parameters, randn, scope } from "@ltx-trainer/torch";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newestCheckpoint, restoreCheckpoint, saveCheckpoint } from "./checkpoint.ts";

const config = {
  numLayers: 1,
  numAttentionHeads: 2,
  attentionHeadDim: 8,
  inChannels: 4,
  outChannels: 4,
  captionChannels: 8,
  normEps: 1e-6,
  attentionBias: true,
  attentionOutBias: true,
};

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "checkpoint-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function training(seed: number) {
  const transformer = new Transformer(Parameters.random({ generator: new Generator(1) }), config as never);
  const lora = injectLora(transformer, { rank: 2, generator: new Generator(seed) });
  const optimizer = new AdamW(lora.parameters(), { lr: 0.01 });
  const generator = new Generator(99);
  const step = () =>
    scope(() => {
      for (const parameter of lora.parameters().values())
        parameter.grad = randn(parameter.shape, { generator });
      optimizer.step();
    });
  return { lora, optimizer, step };
}

const stateAt = (step: number) => ({
  version: 1 as const,
  step,
  optimizerSteps: step,
  loss: 0.5,
  identity: { seed: 1 },
});
const valuesOf = ({ lora }: ReturnType<typeof training>) =>
  [...lora.parameters().values()].map((parameter) => parameter.toArray());

describe("checkpoints", () => {
  test("bring weights and moments back to the bit", () => {
    const first = training(1);
    first.step();
    first.step();
    saveCheckpoint(root, { ...first, state: stateAt(2), keep: 2 });
    const second = training(2);
    const newest = newestCheckpoint(root);
    expect(newest?.state.step).toBe(2);
    restoreCheckpoint(newest as NonNullable<typeof newest>, { ...second, identity: { seed: 1 } });
    expect(valuesOf(second)).toEqual(valuesOf(first));
    expect(second.optimizer.stepCount).toBe(2);
    for (const [name, moment] of first.optimizer.state()) {
      expect(second.optimizer.state().get(name)?.toArray()).toEqual(moment.toArray());
    }
  });

  test("only the newest are kept, and nothing half-written is ever taken for one", () => {
    const one = training(1);
    one.step();
    for (const step of [1, 2, 3]) saveCheckpoint(root, { ...one, state: stateAt(step), keep: 2 });
    expect(readdirSync(root).toSorted()).toEqual(["step-000002", "step-000003"]);
    writeFileSync(join(root, "step-000004.123.tmp"), "half");
    expect(newestCheckpoint(root)?.state.step).toBe(3);
  });

  test("another training's checkpoint is refused with every difference named", () => {
    const one = training(1);
    saveCheckpoint(root, { ...one, state: stateAt(1), keep: 1 });
    const newest = newestCheckpoint(root) as NonNullable<ReturnType<typeof newestCheckpoint>>;
    try {
      restoreCheckpoint(newest, { ...one, identity: { seed: 2, rank: 8 } });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(AppError);
      expect((error as AppError).code).toBe("checkpoint_mismatch");
      expect((error as AppError).message).toContain("seed: was 1, is now 2");
      expect((error as AppError).message).toContain("rank: was undefined, is now 8");
    }
  });

  test("a damaged state says which folder to delete", () => {
    const one = training(1);
    const folder = saveCheckpoint(root, { ...one, state: stateAt(1), keep: 1 });
    writeFileSync(join(folder, "state.json"), "{");
    expect(() => newestCheckpoint(root)).toThrow(/step-000001: state.json cannot be read/);
    expect(existsSync(folder)).toBe(true);
  });

  test("no checkpoints is no error", () => {
    expect(newestCheckpoint(join(root, "nowhere"))).toBeUndefined();
  });
});
