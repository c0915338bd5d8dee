import { describe, expect, test } from "vitest";
import { type CheckpointError, Generator, Linear, Parameters, type TensorSource, tensor } from "../index.ts";

function sourceOf(tensors: Record<string, ReturnType<typeof tensor>>): TensorSource {
  const find = (name: string) => {
    const found = tensors[name];
    if (!found) throw new RangeError(name);
    return found;
  };
  return {
    names: () => Object.keys(tensors),
    has: (name) => name in tensors,
    info: (name) => ({ dtype: find(name).dtype, shape: find(name).shape }),
    tensor: find,
  };
}

describe("Parameters", () => {
  test("a model's names are those it asks for", () => {
    const p = Parameters.random({ generator: new Generator(1) });
    new Linear(p.at("block", 0, "to_q"), 4, 3);
    expect([...p.all.keys()]).toEqual(["block.0.to_q.weight", "block.0.to_q.bias"]);
    expect([...p.linears.keys()]).toEqual(["block.0.to_q"]);
    expect(p.bytes).toBe((4 * 3 + 3) * 4);
  });

  test("random linear weights lie within one over the root of the fan-in", () => {
    const p = Parameters.random({ generator: new Generator(1) });
    const layer = new Linear(p, 100, 50);
    expect(layer.weight.abs().max().item()).toBeLessThanOrEqual(0.1);
    expect(layer.weight.abs().max().item()).toBeGreaterThan(0.095);
  });

  test("a checkpoint is loaded, cast and computed with", () => {
    const source = sourceOf({ weight: tensor([[1, 2]]), bias: tensor([10]) });
    const p = Parameters.from(source, { dtype: "float64" });
    const layer = new Linear(p, 2, 1);
    p.finish("linear");
    expect(layer.forward(tensor([[3, 4]], { dtype: "float64" })).item()).toBe(21);
  });

  test("missing, unexpected and misshapen tensors are all named at once", () => {
    const p = Parameters.from(sourceOf({ "a.weight": tensor([[1, 2]]), extra: tensor([0]) }));
    new Linear(p.at("a"), 3, 1);
    try {
      p.finish("tiny model");
      expect.unreachable();
    } catch (error) {
      const { missing, unexpected, misshapen, message } = error as CheckpointError;
      expect(missing).toEqual(["a.bias"]);
      expect(unexpected).toEqual(["extra"]);
      expect(misshapen).toEqual(["a.weight: got [1, 2], expected [1, 3]"]);
      expect(message).toContain("tiny model");
    }
  });

  test("a name asked for twice is a mistake in the model", () => {
    const p = Parameters.random({ generator: new Generator(1) });
    p.tensor("x", [1], "zeros");
    expect(() => p.tensor("x", [1], "zeros")).toThrow("x was asked for twice");
  });

  test("an adapter adds to the layer's output", () => {
    const layer = new Linear(Parameters.random({ generator: new Generator(1) }), 2, 2);
    const x = tensor([[1, 1]]);
    const plain = layer.forward(x).toArray();
    layer.adapter = { forward: () => tensor([[1, 2]]) };
    expect(layer.forward(x).toArray()).toEqual(
      [(plain[0] as number) + 1, (plain[1] as number) + 2].map(Math.fround),
    );
  });
});
