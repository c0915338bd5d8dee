import fs, {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import { injectLora, Transformer } from "@ltx-trainer/ltx";
import { AdamW, Generator, Parameters, randn, scope } from "@ltx-trainer/torch";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkpointsIn, restoreCheckpoint, saveCheckpoint } from "./checkpoint.ts";

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
    const folder = saveCheckpoint(root, { ...first, state: stateAt(2), keep: 2 });
    const second = training(2);
    expect(restoreCheckpoint(folder, { ...second, identity: { seed: 1 } }).step).toBe(2);
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
    expect(checkpointsIn(root).map(({ step }) => step)).toEqual([3, 2]);
    expect(checkpointsIn(join(root, "nowhere"))).toEqual([]);
  });

  test("another training's checkpoint is refused with every difference named", () => {
    const one = training(1);
    const folder = saveCheckpoint(root, { ...one, state: stateAt(1), keep: 1 });
    try {
      restoreCheckpoint(folder, { ...one, identity: { seed: 2, rank: 8 } });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(AppError);
      expect((error as AppError).code).toBe("checkpoint_mismatch");
      expect((error as AppError).message).toContain("seed: was 1, is now 2");
      expect((error as AppError).message).toContain("rank: was undefined, is now 8");
    }
  });

  test("more steps than planned are refused with the reason", () => {
    const one = training(1);
    const state = { ...stateAt(1), identity: { seed: 1, steps: 4 } };
    const folder = saveCheckpoint(root, { ...one, state, keep: 1 });
    expect(() => restoreCheckpoint(folder, { ...one, identity: { seed: 1, steps: 8 } })).toThrow(
      expect.objectContaining({
        code: "checkpoint_mismatch",
        message: expect.stringContaining("steps: was 4, is now 8"),
        remedy: expect.stringContaining("The learning rate falls over all steps"),
      }),
    );
  });

  test("damaged moments change no weight", () => {
    const [one, other] = [training(1), training(2)];
    const folder = saveCheckpoint(root, { ...one, state: stateAt(1), keep: 1 });
    truncateSync(join(folder, "optimizer.safetensors"), 100);
    const before = valuesOf(other);
    expect(() => restoreCheckpoint(folder, { ...other, identity: { seed: 1 } })).toThrow(
      /checkpoint: .*step-000001.optimizer\.safetensors: .*cut short/,
    );
    expect(valuesOf(other)).toEqual(before);
  });

  test("one that the system will not read is not called damaged", () => {
    const one = training(1);
    const folder = saveCheckpoint(root, { ...one, state: stateAt(1), keep: 1 });
    const path = join(folder, "lora.safetensors");
    rmSync(path);
    symlinkSync(path, path);
    expect(() => restoreCheckpoint(folder, { ...one, identity: { seed: 1 } })).toThrow(
      expect.objectContaining({ code: "file_unreadable" }),
    );
  });

  test("one that cannot be written leaves nothing behind", () => {
    const one = training(1);
    // A folder in the file's place, as a full disk would have stopped it.
    mkdirSync(join(root, `step-000001.${process.pid}.tmp`));
    const broken = {
      ...one,
      lora: {
        parameters: () => {
          throw new Error("no space");
        },
      },
    };
    expect(() => saveCheckpoint(root, { ...broken, state: stateAt(1), keep: 1 } as never)).toThrow(
      "no space",
    );
    expect(readdirSync(root)).toEqual([]);
  });

  test.runIf(process.platform === "linux")(
    "every file and folder is on disk before the rename, and the rename after it",
    () => {
      const calls = recordedCalls(() => saveCheckpoint(root, { ...training(1), state: stateAt(1), keep: 1 }));
      const renamed = calls.indexOf(`rename step-000001.${process.pid}.tmp`);
      expect(renamed).toBeGreaterThan(0);
      const before = calls.slice(0, renamed).map((call) => call.replaceAll(`.${process.pid}.tmp`, ""));
      for (const file of ["lora.safetensors", "optimizer.safetensors", "state.json", "step-000001"]) {
        expect(before).toContain(`sync ${file}`);
      }
      expect(before.at(-1)).toBe("sync step-000001");
      expect(calls.slice(renamed + 1)).toContain(`sync ${basename(root)}`);
    },
  );
});

/** The names of what was flushed and renamed meanwhile, in order; the real calls are made. */
function recordedCalls(work: () => void): string[] {
  const calls: string[] = [];
  const { fsyncSync, renameSync } = fs;
  fs.fsyncSync = (descriptor) => {
    calls.push(`sync ${basename(fs.readlinkSync(`/proc/self/fd/${descriptor}`))}`);
    fsyncSync(descriptor);
  };
  fs.renameSync = (from, to) => {
    calls.push(`rename ${basename(String(from))}`);
    renameSync(from, to);
  };
  syncBuiltinESMExports();
  try {
    work();
  } finally {
    Object.assign(fs, { fsyncSync, renameSync });
    syncBuiltinESMExports();
  }
  return calls;
}
