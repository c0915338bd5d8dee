import { describe, expect, test } from "vitest";
import {
  AdamW,
  Generator,
  interruptible,
  keep,
  liveBytes,
  liveTensors,
  noGrad,
  randn,
  scope,
  type Tensor,
  zeros,
} from "../index.ts";

describe("scope", () => {
  test("frees what it made, and only that", () => {
    const outside = zeros([4]);
    const before = liveTensors();
    let inner: Tensor | undefined;
    scope(() => {
      inner = outside.add(1).mul(2);
    });
    expect(liveTensors()).toBe(before);
    expect(inner?.isFreed).toBe(true);
    expect(outside.isFreed).toBe(false);
  });

  test("what is returned survives, in arrays, Maps and plain objects", () => {
    const result = scope(() => ({
      one: zeros([1]),
      many: [zeros([1]), new Map([["a", zeros([1])]])] as const,
    }));
    expect(result.one.isFreed).toBe(false);
    expect(result.many[0].isFreed).toBe(false);
    expect(result.many[1].get("a")?.isFreed).toBe(false);
  });

  test("a tensor beside a number survives, and a list of numbers comes back as it is", () => {
    const [loss, gradient] = scope((): [number, Tensor] => [1, zeros([1])]);
    expect(loss).toBe(1);
    expect(gradient.isFreed).toBe(false);
    expect(scope(() => zeros([3]).toArray())).toEqual([0, 0, 0]);
  });

  test("a result belongs to the scope around", () => {
    let escaped: Tensor | undefined;
    scope(() => {
      escaped = scope(() => zeros([1]));
      expect(escaped.isFreed).toBe(false);
    });
    expect(escaped?.isFreed).toBe(true);
  });

  test("kept tensors outlive every scope", () => {
    const kept = scope(() => {
      const one = keep(zeros([1]));
      zeros([1]);
      return {
        holder: new (class {
          readonly tensor = one;
        })(),
      };
    });
    expect(kept.holder.tensor.isFreed).toBe(false);
    kept.holder.tensor.free();
  });

  test("frees on the way out of an exception", () => {
    const before = liveTensors();
    expect(() =>
      scope(() => {
        zeros([1]).add(zeros([2, 2, 2]).reshape([3]));
      }),
    ).toThrow();
    expect(liveTensors()).toBe(before);
  });

  test("a body that returns a promise does not compile", () => {
    // @ts-expect-error scopes are synchronous
    const misuse = () => scope(async () => zeros([1]));
    expect(misuse).toBeTypeOf("function");
  });

  test("bytes are counted exactly", () => {
    const before = liveBytes();
    const big = zeros([1000, 1000]);
    expect(liveBytes() - before).toBe(4_000_000);
    big.free();
    expect(liveBytes()).toBe(before);
  });
});

test("a training loop holds as many tensors and bytes after step 1000 as after step 10", () => {
  const generator = new Generator(1);
  const weight = keep(noGrad(() => randn([16, 16], { generator })).requiresGrad_());
  const optimizer = new AdamW(new Map([["weight", weight]]), { lr: 1e-3 });
  const counts: { tensors: number; bytes: number }[] = [];
  for (let step = 1; step <= 1000; step++) {
    scope(() => {
      const x = randn([8, 16], { generator });
      x.matmul(weight).square().mean().backward();
      optimizer.step();
      optimizer.zeroGrad();
    });
    if (step === 10 || step === 1000) counts.push({ tensors: liveTensors(), bytes: liveBytes() });
  }
  expect(counts[1]).toEqual(counts[0]);
});

test("interruptible work is given up before a scope, and frees what it made", () => {
  const before = liveTensors();
  let calls = 0;
  const check = () => {
    if (++calls === 3) throw new Error("enough");
  };
  const work = () =>
    scope(() => {
      for (let layer = 0; layer < 9; layer++) scope(() => zeros([2]).add(1));
    });
  expect(() => interruptible(check, work)).toThrow("enough");
  expect(calls).toBe(3);
  expect(liveTensors()).toBe(before);
  work();
  expect(calls).toBe(3);
});

test("tensors made outside every scope are left to the garbage collector, which frees them", async () => {
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const before = liveTensors();
  for (let i = 0; i < 500; i++) zeros([1]);
  expect(liveTensors()).toBe(before + 500);
  for (let turn = 0; turn < 20 && liveTensors() > before; turn++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(liveTensors()).toBeLessThan(before + 500);
});
