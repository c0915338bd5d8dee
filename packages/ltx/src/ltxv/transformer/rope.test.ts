/** Rotary tables against diffusers at the released widths, the rotation itself, and the cache. */
import { arange, cat, liveTensors, noGrad, ones, randn, scope, stack, type Tensor } from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { gridOf } from "../../latent-grid.ts";
import { compare, expectClose } from "../../testing/expect-close.ts";
import { Fixture } from "../../testing/fixture.ts";
import { ltxvCompression } from "../config.ts";
import {
  applyRope,
  buildRope,
  causalCoords,
  RopeCache,
  type RopeTables,
  ropeFrequencies,
  ropeFromCoords,
  secondsOf,
  type TimeRule,
} from "./rope.ts";

type Case = {
  grid: [number, number, number];
  fps: number;
  causal: boolean;
  frame_index: number;
  rows: number[];
};

describe.each([
  ["r_2b", 2048],
  ["r_13b", 4096],
] as const)("tables at full width, %s", (name, width) => {
  const fixture = new Fixture(`rope/${name}`);

  test("frequencies", () => {
    const why = "one float32 ulp of pow between libtorch versions (ltx-model.md 9.3)";
    const reference = fixture.tensor("out.freqs");
    expectClose(
      `rope/${name} freqs`,
      ropeFrequencies(width, "cpu").div(reference),
      ones([reference.size(0)]),
      {
        abs: 2e-7,
        why,
      },
    );
  });

  // Without vector instructions libtorch's pow rounds a few of them otherwise (3 of 341, 3 of 682), and so does PyTorch.
  const frequencies = fixture.tensor("out.freqs");
  const isSame_n = ropeFrequencies(width, "cpu").eq(frequencies).to("float32");
  const isSame = cat([ones([(width % 6) / 2]), isSame_n.repeatInterleave(3, 0)], 0);

  test("nearly all frequencies are the reference's to the bit", () => {
    expect(isSame_n.mean().item()).toBeGreaterThan(0.98);
  });

  test.each(Object.entries(fixture.case<Record<string, Case>>()))("case %s", (label, asked) => {
    scope(() => {
      const rows = fixture.tensor(`in.${label}.rows`);
      const { cos_BTD, sin_BTD } = tablesOf(width, asked, rows);
      const even = arange(0, width, 2);
      const cos = cos_BTD.select(0, 0).indexSelect(1, even);
      const sin = sin_BTD.select(0, 0).indexSelect(1, even).mul(leadSigns(width));
      const found = { cos, sin };
      for (const table of ["cos", "sin"] as const) {
        const reference = fixture.tensor(`out.${label}.${table}_even`);
        expectClose(`rope/${name} ${label} ${table}`, found[table], reference, {
          abs: 2e-3,
          why: "an angle of 15,700 rad has an ulp of 1e-3 (ltx-model.md 9.3)",
        });
        expectClose(
          `rope/${name} ${label} ${table}, same frequencies`,
          found[table].mul(isSame),
          reference.mul(isSame),
          {
            abs: 1e-6,
            why: "an ulp or two of sin and cos in another libtorch; the angles are equal",
          },
        );
      }
    });
  });
});

/** The wanted rows of a case's tables, `[1,N,D]`. */
function tablesOf(width: number, asked: Case, rows: Tensor): RopeTables {
  const [F, H, W] = asked.grid;
  const grid = gridOf({ F, H, W }, ltxvCompression);
  if (asked.causal) {
    const coords_B3T = secondsOf(causalCoords(grid, asked.frame_index), asked.fps);
    return ropeFromCoords({ width, coords_B3T: coords_B3T.indexSelect(2, rows), device: "cpu" });
  }
  const tables = buildRope({ width, grid, frameRate: asked.fps, timeRule: "plain", device: "cpu" });
  return { cos_BTD: tables.cos_BTD.indexSelect(1, rows), sin_BTD: tables.sin_BTD.indexSelect(1, rows) };
}

/** The sign our sine table carries on even channels: -1, but 1 (of a zero) in the unrotated lead. */
function leadSigns(width: number): Tensor {
  const lead = (width % 6) / 2;
  return arange(0, width / 2, 1)
    .lt(lead)
    .to("float32")
    .mul(2)
    .sub(1);
}

test("rotation keeps lengths and turns a pair by its angle", () => {
  const x_BTD = randn([2, 4, 12]);
  const rope = buildRope({
    width: 12,
    grid: gridOf({ F: 1, H: 2, W: 2 }, ltxvCompression),
    frameRate: 25,
    timeRule: "plain",
    device: "cpu",
  });
  const turned = applyRope(x_BTD, rope);
  expect(compare(turned.square().sum(2), x_BTD.square().sum(2)).rel).toBeLessThan(1e-5);
  const [a, b] = x_BTD.select(1, 3).select(0, 0).toArray() as [number, number];
  const [cos, , ,] = rope.cos_BTD.select(1, 3).select(0, 0).toArray() as [number];
  const [, sin] = rope.sin_BTD.select(1, 3).select(0, 0).toArray() as [number, number];
  const [first, second] = turned.select(1, 3).select(0, 0).toArray() as [number, number];
  expect(first).toBeCloseTo(a * cos - b * sin, 5);
  expect(second).toBeCloseTo(b * cos + a * sin, 5);
});

test("causal time starts the second latent frame one pixel frame in", () => {
  const [f_T] = causalCoords(gridOf({ F: 3, H: 1, W: 1 }, ltxvCompression))
    .select(0, 0)
    .unbind(0) as [Tensor];
  expect(f_T.toArray()).toEqual([0, 1, 9]);
});

test("a causal grid has the tables of its positions", () => {
  const grid = gridOf({ F: 2, H: 2, W: 1 }, ltxvCompression);
  const built = buildRope({ width: 16, grid, frameRate: 24, timeRule: "causal", device: "cpu" });
  const given = ropeFromCoords({ width: 16, coords_B3T: secondsOf(causalCoords(grid), 24), device: "cpu" });
  expect(compare(built.cos_BTD, given.cos_BTD).abs + compare(built.sin_BTD, given.sin_BTD).abs).toBe(0);
});

describe("the cache", () => {
  const place = (F: number, timeRule: TimeRule = "plain") => {
    return { grid: gridOf({ F, H: 1, W: 1 }, ltxvCompression), frameRate: 25, timeRule };
  };

  test("hands out the same tables until it is freed", () => {
    const before = liveTensors();
    const cache = new RopeCache(12);
    const first = cache.get(place(2), "cpu");
    expect(cache.get(place(2), "cpu")).toBe(first);
    expect(cache.get(place(2, "causal"), "cpu")).not.toBe(first);
    expect(cache.get({ ...place(2), videos: 2 }, "cpu")).not.toBe(first);
    cache.free();
    expect(first.cos_BTD.isFreed).toBe(true);
    expect(liveTensors()).toBe(before);
  });

  test("drops the table that was used longest ago", () => {
    const cache = new RopeCache(12, 2);
    const tables = noGrad(() => [1, 2].map((F) => cache.get(place(F), "cpu")));
    cache.get(place(1), "cpu");
    cache.get(place(3), "cpu");
    expect(tables.map(({ cos_BTD }) => cos_BTD.isFreed)).toEqual([false, true]);
    cache.free();
  });
});

test.each(["plain", "causal"] as const)("two videos stand at the same positions, %s", (timeRule) => {
  const places = {
    width: 14,
    grid: gridOf({ F: 2, H: 1, W: 2 }, ltxvCompression),
    frameRate: 24,
    timeRule,
    device: "cpu",
  } as const;
  const [one, two] = [buildRope(places), buildRope({ ...places, videos: 2 })];
  for (const table of ["cos_BTD", "sin_BTD"] as const)
    expect(two[table].toArray()).toEqual(cat([one[table], one[table]], 1).toArray());
});

test("stacked coordinates of two grids give each its own rows", () => {
  const coords_B3T = secondsOf(causalCoords(gridOf({ F: 2, H: 1, W: 1 }, ltxvCompression)), 25);
  const both = ropeFromCoords({
    width: 12,
    coords_B3T: stack([coords_B3T.select(0, 0), coords_B3T.select(0, 0).mul(0)], 0),
    device: "cpu",
  });
  const alone = ropeFromCoords({ width: 12, coords_B3T, device: "cpu" });
  expect(compare(both.cos_BTD.narrow(0, 0, 1), alone.cos_BTD).abs).toBe(0);
  expect(compare(both.cos_BTD.narrow(0, 1, 1), alone.cos_BTD).abs).toBeGreaterThan(1e-3);
});
