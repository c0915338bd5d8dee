import { cat, Generator, noGrad, randn, type Tensor } from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import type { VaeTiling } from "../../family.ts";
import { expectClose } from "../../testing/expect-close.ts";
import { Fixture } from "../../testing/fixture.ts";
import { parseVaeConfig } from "./config.ts";
import { decodeInTiles, encodeInTiles } from "./tiling.ts";
import { Vae } from "./vae.ts";

// A stand-in for a VAE that has no context at all: averages 4x4 pixels and, after the first frame, 2 frames.
const compression = { spatialCompression: 4, temporalCompression: 2 };

function average(pixels: Tensor): Tensor {
  const [B, C, f, h, w] = pixels.shape as [number, number, number, number, number];
  const flat = pixels.reshape([B, C, f, h / 4, 4, w / 4, 4]).mean([4, 6]);
  const first = flat.narrow(2, 0, 1);
  const rest = flat
    .narrow(2, 1, f - 1)
    .unflatten(2, [-1, 2])
    .mean(3);
  return f === 1 ? first : catTime(first, rest);
}

function enlarge(latents: Tensor): Tensor {
  const big = latents.repeatInterleave(4, 3).repeatInterleave(4, 4);
  const first = big.narrow(2, 0, 1);
  return catTime(first, big.narrow(2, 1, big.size(2) - 1).repeatInterleave(2, 2));
}

const catTime = (first: Tensor, rest: Tensor): Tensor => cat([first, rest], 2);
const encode = (pixels: Tensor, tiling: VaeTiling): Tensor =>
  encodeInTiles(pixels, average, tiling, compression);
const decode = (latents: Tensor, tiling: VaeTiling): Tensor =>
  decodeInTiles(latents, enlarge, tiling, compression);
const noise = (shape: number[]): Tensor => randn(shape, { generator: new Generator(2) });
const rounding = { abs: 1e-6, why: "a blend of two equal numbers is that number up to one rounding" };

describe("a coder without context gives the same in tiles as whole", () => {
  const sizes: [string, VaeTiling][] = [
    ["space", { space: { tile: 12, stride: 8 } }],
    ["time", { time: { tile: 8, stride: 4 } }],
    ["space and time", { space: { tile: 12, stride: 8 }, time: { tile: 6, stride: 4 } }],
    ["tiles side by side", { space: { tile: 8, stride: 8 }, time: { tile: 4, stride: 4 } }],
  ];

  test.each(sizes)("encoding, tiled in %s", (_name, tiling) => {
    const pixels = noise([2, 3, 19, 28, 20]);
    expectClose("latents", encode(pixels, tiling), average(pixels), rounding);
  });

  test.each(sizes)("decoding, tiled in %s", (_name, tiling) => {
    const latents = noise([2, 3, 10, 7, 5]);
    expectClose("pixels", decode(latents, tiling), enlarge(latents), rounding);
  });
});

test("a clip no larger than a tile is coded in one piece", () => {
  const pieces: (readonly number[])[] = [];
  const record = (part: Tensor): Tensor => {
    pieces.push(part.shape);
    return average(part);
  };
  const tiling = { space: { tile: 16, stride: 12 }, time: { tile: 8, stride: 4 } };
  encodeInTiles(noise([1, 3, 9, 16, 16]), record, tiling, compression);
  expect(pieces).toEqual([[1, 3, 9, 16, 16]]);
});

test("no piece is larger than a tile", () => {
  const tiling = { space: { tile: 16, stride: 12 }, time: { tile: 8, stride: 4 } };
  const record = (part: Tensor): Tensor => {
    expect([part.size(2) <= 9, part.size(3) <= 16, part.size(4) <= 16]).toEqual([true, true, true]);
    return average(part);
  };
  encodeInTiles(noise([1, 3, 21, 40, 36]), record, tiling, compression);
});

test("neighbouring tiles are faded into each other", () => {
  // Two tiles of 4 latents, 2 apart, that know only their own number: 0, then 1 behind a ramp of 0, 1/2.
  let tile = 0;
  const numbered = (part: Tensor): Tensor => average(part).mul(0).add(tile++);
  const row = encodeInTiles(
    noise([1, 1, 1, 4, 24]),
    numbered,
    { space: { tile: 16, stride: 8 } },
    compression,
  );
  expect(row.toArray()).toEqual([0, 0, 0, 0.5, 1, 1.5]);
});

test("a real decoder comes closer to undivided as tiles grow", () => {
  const fixture = new Fixture("vae/v095");
  const vae = fixture.model((p) => new Vae(p, parseVaeConfig(fixture.config)));
  const latents = noise([1, 8, 7, 1, 2]);
  noGrad(() => {
    const whole = vae.decode(latents, { timestep: 0.05 });
    const [small, large] = [16, 32].map((tile) => {
      const tiled = vae.decode(latents, { timestep: 0.05, tiling: { time: { tile, stride: 8 } } });
      return tiled.sub(whole).square().mean().sqrt().div(whole.std()).item();
    });
    // Random weights look far around; dropping a tile's last frame, as the reference does, leaves 0.9 at either size.
    expect(small).toBeLessThan(0.7);
    expect(large).toBeLessThan(small! / 2);
  });
  vae.parameters.free();
});

test("refuses sizes that cut through cells", () => {
  const clip = noise([1, 3, 9, 16, 16]);
  expect(() => encode(clip, { space: { tile: 18, stride: 8 } })).toThrow(
    /tiling.space: got tile 18, stride 8/,
  );
  expect(() => encode(clip, { time: { tile: 4, stride: 8 } })).toThrow(
    /tiling.time: .*a stride not above the tile/,
  );
});
