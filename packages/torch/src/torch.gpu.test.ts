/** The tensor layer on a GPU beside the CPU: operators, random numbers, memory, files, gradients, AdamW. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  AdamW,
  arange,
  attention,
  backwardThrough,
  cat,
  checkpoint,
  clipGradNorm,
  conv2d,
  conv3d,
  type Device,
  type DType,
  embedding,
  emptyCache,
  full,
  Generator,
  keep,
  layerNorm,
  linear,
  linspace,
  manualSeed,
  memoryStats,
  noGrad,
  Parameters,
  powScalar,
  rand,
  randn,
  resetPeakMemory,
  rmsNorm,
  SafetensorsFile,
  scope,
  stack,
  synchronize,
  type Tensor,
  TorchError,
  tensor,
  timeOnDevice,
  where,
  writeSafetensors,
  zeros,
} from "./index.ts";
import { describeOnGpu, isGpu, testDevice } from "./testing/gpu.ts";

/** The same normal numbers on any device: drawn on the CPU, then moved. */
const normal = (device: Device, shape: number[], seed = 1): Tensor =>
  randn(shape, { generator: new Generator(seed), device });

type Make = (device: Device) => Tensor;

const elementwise: Record<string, Make> = {
  "add, mul, sub, div": (d) =>
    normal(d, [8, 9])
      .add(1)
      .mul(normal(d, [9], 2))
      .sub(0.5)
      .div(3),
  "exp, log, sqrt, rsqrt": (d) => normal(d, [64]).exp().add(1).log().sqrt().add(1).rsqrt(),
  "sin, cos of large angles": (d) => cat([normal(d, [64]).mul(15_000).sin(), normal(d, [64]).cos()], 0),
  "tanh, sigmoid, silu, relu": (d) =>
    normal(d, [64])
      .tanh()
      .add(normal(d, [64], 2).sigmoid().silu().relu()),
  "gelu with tanh": (d) => normal(d, [64]).gelu("tanh"),
  "pow, powScalar": (d) => powScalar(10_000, linspace(0, 1, 64, { device: d })).pow(0.5),
  "lerp, addcmul": (d) =>
    normal(d, [64])
      .lerp(normal(d, [64], 2), 0.25)
      .addcmul(normal(d, [64], 3), normal(d, [64], 4)),
  "clamp, round, comparisons, where": (d) =>
    where(normal(d, [64]).gt(0), normal(d, [64]).mul(10).round(), normal(d, [64]).clamp(-0.5, 0.5)),
  "casts to bfloat16 and back": (d) => normal(d, [64]).to("bfloat16").to("float32"),
};

const shaping: Record<string, Make> = {
  "slices, flips, repeats": (d) =>
    normal(d, [4, 6]).flip([1]).slice(1, 1, 5).repeatInterleave(2, 0).repeat([1, 2]),
  "gather, indexSelect": (d) =>
    normal(d, [5, 3])
      .indexSelect(0, arange(0, 5, 2, { device: d }))
      .gather(0, zeros([1, 3], { dtype: "int64", device: d })),
  "stack, cat": (d) =>
    cat([stack([normal(d, [3]), normal(d, [3], 2)], 0), full([1, 3], 7, { device: d })], 0),
  embedding: (d) =>
    embedding(
      normal(d, [10, 4]),
      tensor(
        [
          [1, 9],
          [0, 3],
        ],
        { dtype: "int64", device: d },
      ),
    ),
};

const sums: Record<string, Make> = {
  "sum, mean, std, amax, cumsum": (d) => {
    const x = normal(d, [16, 32]);
    return cat([x.sum(1), x.mean(1), x.std(1), x.amax(1), x.cumsum(0).select(0, 15)], 0);
  },
  norm: (d) => stack([normal(d, [500]).norm()], 0),
  softmax: (d) => normal(d, [8, 40]).mul(5).softmax(-1),
  "matmul, linear": (d) =>
    linear(normal(d, [7, 96]), normal(d, [64, 96], 2), normal(d, [64], 3)).matmul(normal(d, [64, 5], 4)),
  "conv2d, conv3d": (d) => {
    const flat = conv2d(normal(d, [1, 4, 9, 9]), normal(d, [6, 4, 3, 3], 2), undefined, { padding: [1, 1] });
    const x = normal(d, [1, 4, 5, 9, 9]);
    const deep = conv3d(x, normal(d, [6, 4, 3, 3, 3], 3), normal(d, [6], 4), {
      stride: [1, 2, 2],
      padding: [0, 1, 1],
    });
    return cat([flat.flatten(), deep.flatten()], 0);
  },
  "layerNorm, rmsNorm": (d) => {
    const x = normal(d, [5, 48]);
    const [weight, bias] = [normal(d, [48], 2), normal(d, [48], 3)];
    return cat(
      [layerNorm(x, [48], weight, bias, 1e-6), rmsNorm(x, weight, 1e-5), rmsNorm(x, undefined, 1e-6)],
      0,
    );
  },
  "attention, plain and masked": (d) => {
    const [q, k, v] = [normal(d, [2, 3, 20, 16]), normal(d, [2, 3, 12, 16], 2), normal(d, [2, 3, 12, 16], 3)];
    const mask = tensor(
      Array.from({ length: 12 }, (_, i) => (i < 7 ? 0 : -10_000)),
      { device: d },
    ).reshape([1, 1, 1, 12]);
    return cat([attention(q, k, v), attention(q, k, v, { mask })], 2);
  },
};

/** Largest difference between the devices over the largest value. */
function disagreement(make: Make): number {
  return scope(() => {
    const wanted = make("cpu").to("float32");
    const found = make(testDevice);
    expect(found.device.replace(/:\d+$/, "")).toBe(testDevice.replace(/:\d+$/, ""));
    expect(found.shape).toEqual(wanted.shape);
    const distance = found.to({ dtype: "float32", device: "cpu" }).sub(wanted).abs().max().item();
    return distance / wanted.abs().max().item();
  });
}

describeOnGpu("operators give the CPU's answers", () => {
  const check = (makers: Record<string, Make>, limit: number) => {
    for (const [name, make] of Object.entries(makers))
      expect.soft(disagreement(make), name).toBeLessThanOrEqual(limit);
  };

  test("to the bit where values are only moved", () => check(shaping, 0));

  // A transcendental function, or a power of 10,000, may differ by some ulps of 6e-8.
  test("elementwise", () => check(elementwise, 2e-6));

  test("where products are summed in another order", () => check(sums, 3e-5));

  test("bfloat16 layers agree with float32 up to rounding", () => {
    const layers = (d: Device, dtype: DType) => {
      const x = rmsNorm(normal(d, [1, 2, 64, 32]).to(dtype), normal(d, [32], 2).to(dtype), 1e-5);
      return linear(attention(x, x, x), normal(d, [32, 32], 3).to(dtype));
    };
    const found = layers(testDevice, "bfloat16");
    expect(found.dtype).toBe("bfloat16");
    expect(disagreement((d) => layers(d, d === testDevice ? "bfloat16" : "float32"))).toBeLessThan(2e-2);
  });

  test.runIf(isGpu)("tensors of two devices are refused with the operator's name", () => {
    expect(() => normal(testDevice, [2]).add(normal("cpu", [2]))).toThrow(TorchError);
    expect(() => normal(testDevice, [2]).add(normal("cpu", [2]))).toThrow(/aten::add/);
  });

  test("reading waits for the device", () => {
    const x = normal(testDevice, [512, 512]);
    let y = x;
    for (let i = 0; i < 20; i++) y = y.matmul(x).div(y.abs().max());
    expect(Number.isFinite(y.sum().item())).toBe(true);
    synchronize(testDevice);
  });
});

describeOnGpu("random numbers", () => {
  test("of a CPU generator are the same on the device", () => {
    const [here, there] = (["cpu", testDevice] as const).map((device) =>
      rand([100], { generator: new Generator(3), device }).toArray(),
    );
    expect(there).toEqual(here);
  });

  test("of the device's own generator follow its seed, and its saved state goes on where it was", () => {
    const [first, second] = [5, 5].map((seed) =>
      randn([1000], { generator: new Generator(seed, testDevice) }),
    );
    expect(first!.device.startsWith(testDevice)).toBe(true);
    expect(second!.toArray()).toEqual(first!.toArray());
    const generator = new Generator(6, testDevice);
    rand([10], { generator });
    const state = generator.getState();
    const expected = randn([1000], { generator }).toArray();
    const other = new Generator(7, testDevice);
    other.setState(state);
    expect(randn([1000], { generator: other }).toArray()).toEqual(expected);
    expect(randn([1000], { generator: other }).toArray()).not.toEqual(expected);
  });

  test("put a model's parameters, constant ones too, on the device of their generator", () => {
    const p = Parameters.random({ generator: new Generator(1, testDevice) });
    const made = (["zeros", "ones", { uniform: 1 }, { normal: 1 }] as const).map((init, i) =>
      p.tensor(`t${i}`, [2], init),
    );
    expect(new Set(made.map(({ device }) => device)).size).toBe(1);
    expect(made[0]!.device.startsWith(testDevice)).toBe(true);
    p.free();
  });

  test("without a generator come from the device's default one, which can be seeded", () => {
    const draws = [1, 1, 2].map((seed) => {
      manualSeed(seed, testDevice);
      return randn([50], { device: testDevice }).toArray();
    });
    expect(draws[1]).toEqual(draws[0]);
    expect(draws[2]).not.toEqual(draws[0]);
  });
});

describeOnGpu("memory", () => {
  const held = () => memoryStats(testDevice)!.allocatedBytes;
  const megabytes = 1024 * 1024;

  test.runIf(isGpu)("a scope gives back all it made, and only that", () => {
    const kept = zeros([1000], { device: testDevice });
    const before = held();
    const inside = scope(() => {
      const x = zeros([1024, 1024], { device: testDevice });
      x.add(1).mul(x);
      return held();
    });
    // Three tensors of 4 MB; the allocator may hand out a somewhat larger block that was lying about.
    expect(inside - before).toBeGreaterThanOrEqual(12 * megabytes);
    expect(inside - before).toBeLessThan(16 * megabytes);
    expect(held()).toBe(before);
    kept.free();
  });

  test.runIf(isGpu)("the peak is the most held since it was reset, and an emptied cache is empty", () => {
    scope(() => void zeros([64, 1024, 256], { device: testDevice }));
    resetPeakMemory(testDevice);
    expect(memoryStats(testDevice)!.peakBytes).toBe(held());
    scope(() => void zeros([32, 1024, 256], { device: testDevice }));
    const rise = memoryStats(testDevice)!.peakBytes! - held();
    expect(rise).toBeGreaterThanOrEqual(32 * megabytes);
    expect(rise).toBeLessThan(64 * megabytes);
    const cached = memoryStats(testDevice)!.cachedBytes;
    emptyCache();
    expect(cached - memoryStats(testDevice)!.cachedBytes).toBeGreaterThanOrEqual(64 * megabytes);
  });

  test.runIf(isGpu)("a training loop holds as much after step 200 as after step 10", () => {
    const weight = keep(normal(testDevice, [64, 64]).mul(0.1)).requiresGrad_();
    const optimizer = new AdamW(new Map([["weight", weight]]), { lr: 1e-3 });
    const counts: number[] = [];
    for (let step = 1; step <= 200; step++) {
      scope(() => {
        normal(testDevice, [32, 64], step).matmul(weight).square().mean().backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
      if (step === 10 || step === 200) counts.push(held());
    }
    expect(counts[1]).toBe(counts[0]);
  });
});

describeOnGpu("copies and clocks", () => {
  test("pinned memory is copied without waiting, and whole", () => {
    const source = isGpu ? normal("cpu", [64, 64]).pinned() : normal("cpu", [64, 64]);
    const moved = source.to({ device: testDevice }, { nonBlocking: true });
    synchronize(testDevice);
    expect(moved.toArray()).toEqual(source.toArray());
  });

  test("the device's clock sees more work take longer", () => {
    const a = normal(testDevice, [512, 512]);
    const products = (count: number) =>
      timeOnDevice(testDevice, () =>
        scope(() => {
          for (let i = 0; i < count; i++) a.matmul(a);
        }),
      );
    products(5);
    expect(products(200)).toBeGreaterThan(products(1));
  });
});

describeOnGpu("safetensors files", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "safetensors-gpu-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("hold the device's tensors bit for bit, and give them back to it", () => {
    const types: DType[] = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8"];
    const source = normal(testDevice, [3, 50]).mul(50).abs();
    const tensors = new Map(types.map((type) => [type as string, source.to(type)]));
    tensors.set("transposed", source.transpose(0, 1));
    const path = join(folder, "all.safetensors");
    writeSafetensors(path, tensors);
    const file = SafetensorsFile.open(path);
    for (const [name, original] of tensors) {
      const back = file.tensor(name).to({ device: testDevice });
      expect(back.device).toBe(original.device);
      expect(back.toBytes()).toEqual(original.toBytes());
    }
    file.close();
  });
});

describeOnGpu("gradients and updates", () => {
  /** Five steps of a small residual stack with clipping; the losses and the last weights. */
  function train(device: Device, recompute: boolean): { losses: number[]; weights: Tensor[] } {
    const weights = [1, 2, 3].map((seed) =>
      keep(noGrad(() => normal(device, [16, 16], seed).mul(0.3))).requiresGrad_(),
    );
    const named = new Map(weights.map((weight, index) => [`w${index}`, weight]));
    const optimizer = new AdamW(named, { lr: 0.01, weightDecay: 0.1 });
    const input = keep(normal(device, [8, 16], 9));
    const losses: number[] = [];
    for (let step = 0; step < 5; step++) {
      scope(() => {
        const loss = backwardThrough(() => {
          let x: Tensor = input;
          for (const weight of weights) {
            const block = (y: Tensor) => y.add(y.matmul(weight).tanh());
            x = recompute ? checkpoint(block, [x]) : block(x);
          }
          return x.sub(1).square().mean();
        });
        losses.push(loss.item(), clipGradNorm(weights, 0.5));
        optimizer.step();
        optimizer.zeroGrad();
      });
    }
    return { losses, weights };
  }

  test.each([false, true])("follow the CPU's for five steps, recomputing: %s", (recompute) => {
    const here = train("cpu", recompute);
    const there = train(testDevice, recompute);
    for (const [i, loss] of here.losses.entries()) expect(there.losses[i]! / loss).toBeCloseTo(1, 4);
    for (const [i, weight] of here.weights.entries()) {
      const distance = there.weights[i]!.detach().to({ device: "cpu" }).sub(weight).abs().max().item();
      // Adam divides by the gradient's own size: where it is near zero, rounding moves a weight by a share of lr.
      expect(distance).toBeLessThan(1e-4);
    }
  });
});
