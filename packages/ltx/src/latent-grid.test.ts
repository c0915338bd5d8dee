/** Grids, frame counts and the order of tokens. */
import { arange } from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { gridOf, latentGrid, packLatents, pixelSize, snapFrames, unpackLatents } from "./latent-grid.ts";
import { ltxvCompression } from "./ltxv/config.ts";

describe("the grid of a video", () => {
  test("has one frame for the first picture and one for every eight that follow", () => {
    const grid = latentGrid({ frames: 161, height: 480, width: 704 }, ltxvCompression);
    expect(grid).toMatchObject({ F: 21, H: 15, W: 22, tokens: 6930 });
    expect(pixelSize(grid)).toEqual({ frames: 161, height: 480, width: 704 });
  });

  test("follows other factors", () => {
    const grid = latentGrid({ frames: 25, height: 64, width: 96 }, { temporal: 8, spatial: 16 });
    expect(grid).toMatchObject({ F: 4, H: 4, W: 6, tokens: 96 });
  });

  test("refuses what the VAE cannot encode", () => {
    expect(() => latentGrid({ frames: 90, height: 32, width: 32 }, ltxvCompression)).toThrow(
      "frames: got 90, expected 8k + 1",
    );
    expect(() => latentGrid({ frames: 9, height: 40, width: 32 }, ltxvCompression)).toThrow(
      "height: got 40, expected a multiple of 32",
    );
    expect(() => latentGrid({ frames: 9, height: 32, width: 0 }, ltxvCompression)).toThrow(
      "width: got 0, expected a multiple of 32",
    );
  });
});

test.each([
  [1, 1],
  [8, 1],
  [9, 9],
  [90, 89],
  [96.9, 89],
])("%d frames snap to %d", (frames, snapped) => {
  expect(snapFrames(frames, ltxvCompression.temporal)).toBe(snapped);
});

test("less than one frame cannot be snapped", () => {
  expect(() => snapFrames(0, ltxvCompression.temporal)).toThrow("frames: got 0");
});

describe("packing", () => {
  const latents_BCFHW = arange(0, 24, 1).reshape([1, 2, 2, 2, 3]);

  test("lays tokens out by frame, row, column, channels last", () => {
    const tokens = packLatents(latents_BCFHW);
    expect(tokens.shape).toEqual([1, 12, 2]);
    expect(tokens.toArray().slice(0, 8)).toEqual([0, 12, 1, 13, 2, 14, 3, 15]);
  });

  test("is undone by unpacking", () => {
    const grid = gridOf({ F: 2, H: 2, W: 3 }, ltxvCompression);
    expect(unpackLatents(packLatents(latents_BCFHW), grid).toArray()).toEqual(latents_BCFHW.toArray());
  });

  test("refuses tokens of another grid", () => {
    const tokens = packLatents(latents_BCFHW);
    expect(() => unpackLatents(tokens, gridOf({ F: 2, H: 2, W: 2 }, ltxvCompression))).toThrow(
      /got \[1,12,2\], expected \[B, 8, C\]/,
    );
  });
});
