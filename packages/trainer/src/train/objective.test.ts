import { gridOf, ltxvCompression } from "@ltx-trainer/ltx";
import { cat, full, Generator, randn, tensor, zeros } from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { addNoise, drawSigmas, prependReference, sigmaShift, velocityLoss } from "./objective.ts";

const grid = gridOf({ F: 3, H: 1, W: 2 }, ltxvCompression);
const generator = new Generator(1);
const latents = randn([1, 4, 3, 1, 2], { generator });
const noise = randn([1, 4, 3, 1, 2], { generator });

describe("addNoise", () => {
  test("sigma 0 leaves the latents, sigma 1 leaves only noise", () => {
    const clean = addNoise(latents, noise, tensor([0]), { grid, keepFirstFrame: false });
    const pure = addNoise(latents, noise, tensor([1]), { grid, keepFirstFrame: false });
    expect(clean.tokens_BSC.toArray()).toEqual(latents.flatten(2).transpose(1, 2).contiguous().toArray());
    expect(pure.tokens_BSC.toArray()).toEqual(noise.flatten(2).transpose(1, 2).contiguous().toArray());
  });

  test("a kept first frame is clean, told timestep 0, and outside the loss", () => {
    const noised = addNoise(latents, noise, tensor([0.5]), { grid, keepFirstFrame: true });
    expect(noised.timestep_BG.toArray()).toEqual([0, 500, 500]);
    expect(noised.givenTokens).toBe(2);
    const first = noised.tokens_BSC.narrow(1, 0, 2).contiguous().toArray();
    expect(first).toEqual(latents.flatten(2).transpose(1, 2).narrow(1, 0, 2).contiguous().toArray());
    const wrongThere = noised.velocity_BTC.clone();
    wrongThere.narrow(1, 0, 2).add_(100);
    expect(velocityLoss(wrongThere, noised).item()).toBe(0);
  });

  test("a reference is clean, in front, told timestep 0, and outside the loss", () => {
    const noised = addNoise(latents, noise, tensor([0.5]), { grid, keepFirstFrame: true });
    const both = prependReference(noised, noise, grid);
    expect(both.timestep_BG.toArray()).toEqual([0, 0, 0, 0, 500, 500]);
    expect(both.givenTokens).toBe(8);
    const [reference, rest] = both.tokens_BSC.split([6, 6], 1).map((part) => part.contiguous().toArray());
    expect(reference).toEqual(noise.flatten(2).transpose(1, 2).contiguous().toArray());
    expect(rest).toEqual(noised.tokens_BSC.toArray());
    const predicted = cat([full([1, 6, 4], 100), noised.velocity_BTC], 1);
    expect(velocityLoss(predicted, both).item()).toBe(0);
  });

  test("a clip of one latent frame is never given away", () => {
    const image = addNoise(latents.narrow(2, 0, 1), noise.narrow(2, 0, 1), tensor([0.5]), {
      grid: gridOf({ F: 1, H: 1, W: 2 }, ltxvCompression),
      keepFirstFrame: true,
    });
    expect(image.givenTokens).toBe(0);
  });

  test("refuses a missing sigma and says both counts", () => {
    const two = zeros([2, 4, 3, 1, 2]);
    expect(() => addNoise(two, two, tensor([0.5]), { grid, keepFirstFrame: false })).toThrow(
      /got 1 sigmas for 2 samples/,
    );
  });
});

describe("sigmas", () => {
  test("the shift goes through its two points and is held above the second", () => {
    expect(sigmaShift(1024, { clamp: true })).toBeCloseTo(0.95, 12);
    expect(sigmaShift(4096, { clamp: true })).toBeCloseTo(2.05, 12);
    expect(sigmaShift(6336, { clamp: true })).toBeCloseTo(2.05, 12);
    expect(sigmaShift(6336, { clamp: false })).toBeCloseTo(2.852, 3);
  });

  test("half of them lie above the sigmoid of the shift", () => {
    const sigmas = drawSigmas(4000, 0.95, new Generator(2)).toArray();
    const above = sigmas.filter((sigma) => sigma > 1 / (1 + Math.exp(-0.95))).length;
    expect(above / 4000).toBeGreaterThan(0.47);
    expect(above / 4000).toBeLessThan(0.53);
  });
});

test("a perfect prediction has zero loss", () => {
  const noised = addNoise(latents, noise, tensor([0.3]), { grid, keepFirstFrame: false });
  expect(velocityLoss(noised.velocity_BTC, noised).item()).toBe(0);
});
