import {
  Generator,
  liveTensors,
  noGrad,
  type Parameters,
  randn,
  type Tensor,
  tensor,
} from "@ltx-trainer/torch";
import { describe, expect, test } from "vitest";
import { ConfigFields } from "../../config-fields.ts";
import { compare, expectClose } from "../../testing/expect-close.ts";
import { foldCells } from "./blocks/down-blocks.ts";
import { unfoldCells } from "./blocks/up-blocks.ts";
import { parseVaeConfig, type VaeConfig } from "./config.ts";
import { patchify, unpatchify } from "./patchify.ts";
import { releasedVaeConfig } from "./released.ts";
import { Vae } from "./vae.ts";

/** A VAE of 16x16x8 pixels a cell, as small as it gets, with every feature of 0.9.5 and the noise of 0.9.1. */
const small = {
  latent_channels: 4,
  patch_size: 2,
  block_out_channels: [4, 8, 8, 8],
  down_block_types: Array(3).fill("LTXVideo095DownBlock3D"),
  layers_per_block: [1, 1, 1, 1],
  spatio_temporal_scaling: [true, true, true],
  downsample_type: Array(3).fill("spatiotemporal"),
  decoder_block_out_channels: [8, 16, 32],
  decoder_layers_per_block: [1, 1, 1, 1],
  decoder_spatio_temporal_scaling: [true, true, true],
  upsample_residual: [true, true, true],
  upsample_factor: [2, 2, 2],
  timestep_conditioning: true,
};
const configOf = (change: Record<string, unknown> = {}): VaeConfig =>
  parseVaeConfig(new ConfigFields({ ...small, ...change }, "vae"));
const freshVae = (change: Record<string, unknown> = {}, dtype: "float32" | "float64" = "float32"): Vae =>
  Vae.fresh(configOf(change), { generator: new Generator(11), dtype });
const noise = (shape: number[], seed = 5): Tensor => randn(shape, { generator: new Generator(seed) });

describe("released architectures", () => {
  /** Counts what a model asks for, without making it: the 0.9.5 VAE alone would be 5 GB. */
  function census(config: VaeConfig): { tensors: number; parameters: number } {
    const shapes: (readonly number[])[] = [];
    const one = tensor([1]);
    const recorder = {
      at: () => recorder,
      register: () => {},
      tensor: (_name: string, shape: readonly number[]) => {
        shapes.push(shape);
        return one;
      },
    };
    new Vae(recorder as unknown as Parameters, config);
    const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
    return { tensors: shapes.length, parameters: shapes.reduce((total, shape) => total + sizeOf(shape), 0) };
  }

  // What the files on the model hub hold: their sizes agree with these counts to the byte.
  test.each([
    ["0.9.0", 190, 419_193_905],
    ["0.9.1", 294, 934_976_690],
    ["0.9.5", 226, 1_246_913_778],
  ] as const)("%s has %i tensors and %i parameters", (version, tensors, parameters) => {
    const config = releasedVaeConfig(version);
    expect(census(config)).toEqual({ tensors, parameters });
    expect([config.temporalCompression, config.spatialCompression]).toEqual([8, 32]);
  });
});

describe("a VAE of custom compression", () => {
  test("maps 8k + 1 frames of 16-pixel cells to latents and back", () => {
    const vae = freshVae();
    expect([vae.temporalCompression, vae.spatialCompression]).toEqual([8, 16]);
    const { mean_BCFHW, logvar_B1FHW } = vae.encode(noise([2, 3, 17, 32, 48]));
    expect(mean_BCFHW.shape).toEqual([2, 4, 3, 2, 3]);
    expect(logvar_B1FHW.shape).toEqual([2, 1, 3, 2, 3]);
    expect(vae.decode(mean_BCFHW, { timestep: 0.05 }).shape).toEqual([2, 3, 17, 32, 48]);
  });

  test("no latent sees a later frame", () => {
    const vae = freshVae();
    const clip = noise([1, 3, 9, 16, 16]);
    const still = vae.encode(clip.narrow(2, 0, 1)).mean_BCFHW;
    const first = vae.encode(clip).mean_BCFHW.narrow(2, 0, 1);
    expectClose("first latent", first, still, {
      abs: 1e-6,
      why: "the same numbers in a convolution of another size",
    });
  });

  test("normalising and denormalising are inverse", () => {
    const vae = freshVae();
    noGrad(() => vae.latentsMean_C.copy_(noise([4])));
    noGrad(() => vae.latentsStd_C.copy_(noise([4]).abs().add(0.5)));
    const latents = noise([1, 4, 2, 3, 3], 6);
    const back = vae.denormalize(vae.normalize(latents));
    expectClose("latents", back, latents, { abs: 1e-6, why: "four float32 operations on values near 1" });
  });

  test("the decode timestep may be one number or one per sample", () => {
    const vae = freshVae();
    const latents = noise([2, 4, 1, 2, 1]);
    const [zero, some] = noGrad(() => [
      vae.decode(latents, { timestep: 0 }),
      vae.decode(latents, { timestep: 0.05 }),
    ]);
    const mixed = noGrad(() => vae.decode(latents, { timestep: tensor([0, 0.05]) }));
    expect(compare(zero!, some!).abs).toBeGreaterThan(1e-3);
    const why = "batched matrix products may sum in another order";
    expectClose("sample 0", mixed.narrow(0, 0, 1), zero!.narrow(0, 0, 1), { abs: 1e-5, why });
    expectClose("sample 1", mixed.narrow(0, 1, 1), some!.narrow(0, 1, 1), { abs: 1e-5, why });
    expect(() => vae.decode(latents, { timestep: tensor([0, 0, 0]) })).toThrow(
      /got timesteps \[3\], expected .* \[2\]/,
    );
  });

  test("injected noise follows the generator", () => {
    const vae = freshVae({ decoder_inject_noise: [true, true, true, false] });
    for (const [name, scale] of vae.parameters.all) {
      if (name.includes("per_channel_scale")) noGrad(() => scale.fill_(0.5));
    }
    const latents = noise([1, 4, 1, 1, 1]);
    const decode = (seed: number): Tensor =>
      noGrad(() => vae.decode(latents, { generator: new Generator(seed) }));
    expect(compare(decode(1), decode(1)).abs).toBe(0);
    expect(compare(decode(1), decode(2)).abs).toBeGreaterThan(1e-3);
  });

  test("refuses clips that do not fill whole cells", () => {
    const vae = freshVae();
    const expected = /expected \[B, C, 8k \+ 1, multiple of 16, multiple of 16\]/;
    expect(() => vae.encode(noise([1, 3, 8, 16, 16]))).toThrow(expected);
    expect(() => vae.encode(noise([1, 3, 9, 16, 24]))).toThrow(expected);
  });
});

describe("training", () => {
  test("the gradient is the slope of the loss", () => {
    const vae = freshVae({}, "float64");
    const clip = noise([1, 3, 9, 16, 16]).to("float64");
    const latentNoise = noise([1, 4, 2, 1, 1], 6);
    const loss = (pixels: Tensor): Tensor => {
      const latents = vae.sample(vae.encode(pixels), { noise: latentNoise });
      return vae.decode(latents, { timestep: 0.05 }).sub(pixels).square().mean();
    };
    const pixels = clip.clone().requiresGrad_();
    loss(pixels).backward();
    const direction = noise([1, 3, 9, 16, 16], 7).to("float64");
    const step = 1e-5;
    const [ahead, behind] = noGrad(() =>
      [1, -1].map((sign) => loss(clip.add(direction.mul(sign * step))).item()),
    );
    const slope = pixels.grad!.mul(direction).sum().item();
    expect((ahead! - behind!) / (2 * step)).toBeCloseTo(slope, 6);
    for (const [name, weight] of vae.parameters.all) {
      const isTrained = !/latents_(mean|std)|timestep_scale_multiplier/.test(name);
      expect(weight.requiresGrad, name).toBe(isTrained);
      if (isTrained) expect(weight.grad?.abs().max().item(), name).toBeGreaterThan(0);
    }
    expect(vae.decoder.timestepScale?.item()).toBe(1000);
  });

  test("encoding and decoding leave no tensors behind", () => {
    const vae = freshVae();
    const clip = noise([1, 3, 9, 16, 16]);
    const tiling = { space: { tile: 16, stride: 16 }, time: { tile: 8, stride: 8 } };
    const wide = noise([1, 3, 17, 32, 16]);
    const round = (): void =>
      noGrad(() => {
        for (const [pixels, options] of [
          [clip, {}],
          [wide, { tiling }],
        ] as const) {
          const { mean_BCFHW, logvar_B1FHW } = vae.encode(pixels, options);
          vae.decode(mean_BCFHW, options).free();
          mean_BCFHW.free();
          logvar_B1FHW.free();
        }
      });
    round();
    const before = liveTensors();
    round();
    expect(liveTensors()).toBe(before);
  });
});

describe("cells and patches", () => {
  test("unpatchify undoes patchify", () => {
    const pixels = noise([2, 3, 3, 8, 12]);
    expect(compare(unpatchify(patchify(pixels, 4), 4), pixels).abs).toBe(0);
    expect(() => patchify(pixels, 5)).toThrow(/got 8x12 pixels, expected multiples of the patch size 5/);
  });

  test("the column within a patch varies slower than the row", () => {
    const pixels = tensor([1, 2, 3, 4]).reshape([1, 1, 1, 2, 2]); // rows 1 2 and 3 4
    expect(patchify(pixels, 2).toArray()).toEqual([1, 3, 2, 4]);
  });

  test("unfolding undoes folding, but for the first frame", () => {
    const x = noise([2, 3, 4, 6, 2]);
    expect(compare(unfoldCells(foldCells(x, [2, 2, 2])), x.narrow(2, 1, 3)).abs).toBe(0);
  });
});

describe("configuration", () => {
  test.each([
    ["patch_size_t", { patch_size_t: 2 }, /patch_size_t: got 2, expected 1/],
    ["a list too short", { layers_per_block: [1, 1] }, /layers_per_block: got 2 entries, expected 4/],
    [
      "mixed block kinds",
      { down_block_types: ["LTXVideoDownBlock3D", ...small.down_block_types.slice(1)] },
      /the same/,
    ],
    ["an unknown downsampler", { downsample_type: ["x", "temporal", "temporal"] }, /downsample_type: got x/],
    ["widths that do not fold", { block_out_channels: [4, 8, 12, 8] }, /got 8 to 12 channels/],
    [
      "a ratio the blocks do not have",
      { spatial_compression_ratio: 32 },
      /got 32, expected 16, the ratio of the blocks/,
    ],
    [
      "decoder and encoder apart",
      { decoder_spatio_temporal_scaling: [true, true, false], upsample_factor: [1, 2, 2] },
      /got/,
    ],
    [
      "a factor that does not narrow",
      { decoder_block_out_channels: [8, 8, 32] },
      /narrows by exactly the factor/,
    ],
  ])("refuses %s", (_name, change, message) => {
    expect(() => configOf(change)).toThrow(message);
  });
});
