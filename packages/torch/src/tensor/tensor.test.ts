import { describe, expect, test } from "vitest";
import { hasOp } from "../addon/binding.ts";
import {
  arange,
  attention,
  cat,
  conv3d,
  cudaIsAvailable,
  Generator,
  linspace,
  powScalar,
  rand,
  randn,
  randperm,
  rmsNorm,
  setProductAttention,
  TorchError,
  tensor,
  where,
  zeros,
} from "../index.ts";

describe("making and reading", () => {
  test("nested arrays give their shape and values back", () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(x.shape).toEqual([2, 3]);
    expect(x.dtype).toBe("float32");
    expect(x.toArray()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("a typed array keeps its element type", () => {
    expect(tensor(new BigInt64Array([1n, 2n])).dtype).toBe("int64");
    expect(tensor(new Uint8Array([255])).dtype).toBe("uint8");
    expect(tensor(new Float64Array([0.1])).item()).toBe(0.1);
  });

  test("ragged arrays are refused with the place", () => {
    expect(() => tensor([[1, 2], [3]])).toThrow(/got 1 items at depth 1, expected 2/);
  });

  test("bfloat16 rounds to eight significant bits and reads back as numbers", () => {
    expect(tensor([1.0009765625, 993.7], { dtype: "bfloat16" }).toArray()).toEqual([1, 992]);
  });

  test("item refuses more than one element", () => {
    expect(() => zeros([2]).item()).toThrow(/got shape \[2\]/);
  });

  test("a whole number keeps an integer tensor an integer", () => {
    expect(arange(0, 3).add(1).dtype).toBe("int64");
    expect(arange(0, 3).mul(0.5).dtype).toBe("float32");
  });

  test("an empty tensor has no values", () => {
    expect(zeros([0, 3]).toArray()).toEqual([]);
  });
});

describe("operators", () => {
  test("slices, permutes and concatenates", () => {
    const x = arange(0, 6).reshape([2, 3]);
    expect(x.transpose(0, 1).toArray()).toEqual([0, 3, 1, 4, 2, 5]);
    expect(x.slice(1, 1).toArray()).toEqual([1, 2, 4, 5]);
    expect(cat([x, x.select(0, -1).unsqueeze(0)], 0).shape).toEqual([3, 3]);
    expect(x.unflatten(1, [3, 1]).shape).toEqual([2, 3, 1]);
    expect(x.unflatten(-1, [-1, 1]).shape).toEqual([2, 3, 1]);
    expect(x.split([1, 2], 1).map((part) => part.shape)).toEqual([
      [2, 1],
      [2, 2],
    ]);
  });

  test("to returns the very same tensor when nothing changes", () => {
    const x = zeros([1]);
    expect(x.to("float32")).toBe(x);
    expect(x.to({ device: "cpu" })).toBe(x);
    expect(x.to("int64").dtype).toBe("int64");
  });

  test("in-place operators change their tensor and return it", () => {
    const x = tensor([1, 2]);
    expect(x.add_(1).mul_(2)).toBe(x);
    expect(x.toArray()).toEqual([4, 6]);
  });

  test("where, powScalar and linspace", () => {
    const x = linspace(-1, 1, 3);
    expect(where(x.gt(0), x, x.neg()).toArray()).toEqual([1, -0, 1]);
    expect(powScalar(2, arange(0, 4, 1, { dtype: "float32" })).toArray()).toEqual([1, 2, 4, 8]);
  });

  test("rms norm of a constant row is the sign of the constant", () => {
    const y = rmsNorm(tensor([[3, 3, -3, 3]]), undefined, 0);
    expect(y.toArray().map((value) => Math.round(value * 1e6) / 1e6)).toEqual([1, 1, -1, 1]);
  });

  test("conv3d with a centred delta returns its input", () => {
    const x = randn([1, 1, 3, 4, 5], { generator: new Generator(1) });
    const delta = zeros([1, 1, 3, 3, 3]);
    delta.reshape([27]).narrow(0, 13, 1).fill_(1);
    expect(conv3d(x, delta, undefined, { padding: [1, 1, 1] }).toArray()).toEqual(x.toArray());
  });

  test("attention over one key returns its value", () => {
    const q = randn([2, 3, 4, 8], { generator: new Generator(2) });
    const k = randn([2, 3, 1, 8], { generator: new Generator(3) });
    const v = randn([2, 3, 1, 8], { generator: new Generator(4) });
    const expected = v.expand([2, 3, 4, 8]).contiguous().toArray();
    const got = attention(q, k, v).toArray();
    for (const [index, value] of got.entries()) expect(value).toBeCloseTo(expected[index] as number, 5);
  });

  test("a mask of minus ten thousand hides a key", () => {
    const q = randn([1, 1, 2, 4], { generator: new Generator(5) });
    const k = randn([1, 1, 3, 4], { generator: new Generator(6) });
    const v = randn([1, 1, 3, 4], { generator: new Generator(7) });
    const masked = attention(q, k, v, { mask: tensor([0, 0, -10000]).reshape([1, 1, 1, 3]) });
    const shorter = attention(q, k.narrow(2, 0, 2), v.narrow(2, 0, 2));
    expect(masked.sub(shorter).abs().max().item()).toBeLessThan(1e-6);
  });

  test("attention of matrix products in bfloat16 is the fused one but for rounding", () => {
    const [q, k, v] = [8, 9, 10].map((seed) => randn([2, 3, 20, 16], { generator: new Generator(seed) }));
    const half = [q!, k!, v!].map((x) => x.to("bfloat16"));
    const exact = attention(q!, k!, v!);
    setProductAttention(true);
    try {
      const products = attention(half[0]!, half[1]!, half[2]!);
      expect(products.dtype).toBe("bfloat16");
      // Values up to 3, of which bfloat16 keeps 8 bits, through scores that are rounded as well.
      expect(products.to("float32").sub(exact).abs().max().item()).toBeLessThan(0.05);
      expect(attention(q!, k!, v!).toArray()).toEqual(exact.toArray());
    } finally {
      setProductAttention(false);
    }
  });
});

describe("errors", () => {
  test("name the operator, the shapes and the schema", () => {
    try {
      zeros([2, 3]).add(zeros([4]));
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(TorchError);
      const { operator, argumentShapes, schema } = error as TorchError;
      expect(operator).toBe("aten::add");
      expect(argumentShapes).toContain("self=Float[2, 3], other=Float[4]");
      expect(schema).toContain("aten::add.Tensor(Tensor self");
    }
  });

  test("a freed tensor is refused and says how it could have lived", () => {
    const x = zeros([1]);
    x.free();
    x.free();
    expect(x.isFreed).toBe(true);
    expect(() => x.add(1)).toThrow(/argument 'self': this tensor was freed.*keep\(\)/s);
    expect(String(x)).toBe("Tensor(freed)");
  });

  test("a slot taken again does not answer to its old handle", () => {
    const first = zeros([1]);
    first.free();
    const second = zeros([1]);
    expect(() => first.add(1)).toThrow(/was freed/);
    expect(second.add(1).item()).toBe(1);
  });

  test("a fractional size is refused, with the argument's name", () => {
    expect(() => zeros([1.5])).toThrow(/argument 'size': got 1.5.*expected an integer/);
  });
});

describe("random numbers", () => {
  test("the CPU generator gives PyTorch's well-known first numbers", () => {
    const drawn = randn([6], { generator: new Generator(0) }).toArray();
    expect(drawn[0]).toBeCloseTo(1.541, 3);
    expect(drawn[1]).toBeCloseTo(-0.2934, 3);
    expect(drawn[2]).toBeCloseTo(-2.1788, 3);
    const many = randn([20], { generator: new Generator(0) }).toArray();
    expect(many[0]).toBeCloseTo(-1.1258, 3);
    expect(many[1]).toBeCloseTo(-1.1524, 3);
  });

  test("a saved state continues where it was", () => {
    const generator = new Generator(7);
    rand([100], { generator });
    const state = generator.getState();
    const expected = randn([33], { generator }).toArray();
    const other = new Generator(1);
    other.setState(state);
    expect(randn([33], { generator: other }).toArray()).toEqual(expected);
  });

  test("randperm holds every number once", () => {
    const order = randperm(50, { generator: new Generator(3) }).toArray();
    expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, index) => index));
  });
});

test("hasOp tells operators apart by overload", () => {
  expect(hasOp("add.Tensor")).toBe(true);
  expect(hasOp("add.Nothing")).toBe(false);
});

test("pinning memory without CUDA says that there is none", () => {
  if (cudaIsAvailable()) expect(zeros([2]).pinned().toArray()).toEqual([0, 0]);
  else expect(() => zeros([2]).pinned()).toThrow(TorchError);
});
