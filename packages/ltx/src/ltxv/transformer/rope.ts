/**
 * Rotary position embedding: positions in seconds and pixels become cosines and sines that rotate q and k.
 *
 * Idea: a token's time, row and column are each turned into a fraction of a fixed range (20 s, 2048 px), and each
 * of D/6 frequencies rotates one pair of channels by each fraction. Channel order is frequency-major: for every
 * frequency f, h, w sit side by side. The D mod 6 channels left over come first and are not rotated.
 *
 * Angles reach 15,700 rad, where one float32 ulp is 1e-3. So the tables use the reference's operations in the
 * reference's order: folding two constants into one changes the fastest rotations by 1e-3. Fractions and
 * frequencies are always computed on the CPU: a GPU divides by a constant by multiplying with its rounded inverse, and
 * has another power function. All later operations except sin and cos round alike on every device.
 *
 * Shapes: B batch, T video tokens, D transformer width, 3 the axes frame, row, column.
 * Source: huggingface/diffusers@58eb52c, `transformer_ltx.py` (LTXVideoRotaryPosEmbed, apply_rotary_emb) and
 * `pipeline_ltx_condition.py` (`_prepare_video_ids`, `_scale_video_ids`).
 */
import {
  arange,
  cat,
  type Device,
  keep,
  noGrad,
  ones,
  powScalar,
  scope,
  stack,
  type Tensor,
  tensor,
  zeros,
} from "@ltx-trainer/torch";
import type { LatentGrid } from "../../latent-grid.ts";

const theta = 10_000;
const baseFrames = 20;
const baseSide = 2048;

/**
 * How latent frame f is placed in time. "plain" is `f * 8 / fps` (LTXPipeline, the Lightricks trainer, checkpoints
 * up to 0.9.1); "causal" is `max(0, 8f - 7) / fps`, the true start of the frame (checkpoints from 0.9.5).
 */
export type TimeRule = "plain" | "causal";

/** float32 factors of the rotation. A leading 1 is broadcast over the batch. */
export type RopeTables = {
  /** `[B or 1, T, D]` */
  readonly cos_BTD: Tensor;
  /** `[B or 1, T, D]`, negated for the first channel of each pair, so that the swapped pair needs no sign. */
  readonly sin_BTD: Tensor;
};

/** Positions of the tokens of one or more videos with the same grid. */
export type TokenPlaces = {
  readonly grid: LatentGrid;
  /** Frames per second of the pixel video. */
  readonly frameRate: number;
  readonly timeRule: TimeRule;
  /** Number of videos in the sequence, all with the same positions. Default 1. */
  readonly videos?: number | undefined;
};

/** Makes the tables of whole grids under one time rule. */
export function buildRope(
  options: TokenPlaces & { readonly width: number; readonly device: Device },
): RopeTables {
  const { width, grid, frameRate, device, videos = 1 } = options;
  return noGrad(() =>
    scope(() => {
      const { cos_BTD, sin_BTD } =
        options.timeRule === "plain"
          ? tablesFrom(width, plainFractions(grid, frameRate), device)
          : ropeFromCoords({ width, coords_B3T: secondsOf(causalCoords(grid), frameRate), device });
      if (videos === 1) return { cos_BTD, sin_BTD };
      return { cos_BTD: cos_BTD.repeat([1, videos, 1]), sin_BTD: sin_BTD.repeat([1, videos, 1]) };
    }),
  );
}

/**
 * Makes the tables of given positions: `coords_B3T` holds seconds, pixel rows and pixel columns, on any device.
 */
export function ropeFromCoords(options: { width: number; coords_B3T: Tensor; device: Device }): RopeTables {
  return noGrad(() =>
    scope(() => {
      const coords_B3T = options.coords_B3T.to({ dtype: "float32", device: "cpu" });
      const fractions = [
        coords_B3T.select(1, 0).div(baseFrames),
        coords_B3T.select(1, 1).div(baseSide),
        coords_B3T.select(1, 2).div(baseSide),
      ];
      return tablesFrom(options.width, stack(fractions, -1), options.device);
    }),
  );
}

/**
 * Positions of a grid in pixel units, with time corrected because the first frame is encoded alone: int64 `[1,3,T]` on
 * the CPU.
 *
 * @param frameIndex pixel frame of the video where the grid's first frame is
 */
export function causalCoords(grid: LatentGrid, frameIndex = 0): Tensor {
  return scope(() => {
    const { temporal, spatial } = grid.compression;
    const [f_T, h_T, w_T] = cellIndices(grid, "int64");
    const start_T = f_T
      .mul(temporal)
      .add(1 - temporal)
      .clamp(0)
      .add(frameIndex);
    return stack([start_T, h_T.mul(spatial), w_T.mul(spatial)], 0).unsqueeze(0);
  });
}

/** Converts the pixel-frame axis of `[B,3,T]` positions to seconds. The result is float32. */
export function secondsOf(coords_B3T: Tensor, frameRate: number): Tensor {
  return scope(() => {
    const coords = coords_B3T.to("float32");
    return cat([coords.narrow(1, 0, 1).mul(1 / frameRate), coords.narrow(1, 1, 2)], 1);
  });
}

/** Rotates each channel pair of `x_BTD`. Computes in float32; the result has the input's type. */
export function applyRope(x_BTD: Tensor, rope: RopeTables): Tensor {
  const { dtype } = x_BTD;
  const x32_BTD = x_BTD.to("float32");
  const [first, second] = x32_BTD.unflatten(2, [-1, 2]).unbind(-1) as [Tensor, Tensor];
  const swapped_BTD = stack([second, first], -1).flatten(2, 3);
  const rotated_BTD = x32_BTD.mul(rope.cos_BTD).addcmul(swapped_BTD, rope.sin_BTD);
  return dtype === "float32" ? rotated_BTD : rotated_BTD.to(dtype);
}

/**
 * Caches tables, because every step of a training needs the same few.
 *
 * The owner frees the cache. It evicts the least recently used table beyond `capacity`: at 13B one is up to 230 MB.
 */
export class RopeCache {
  readonly #width: number;
  readonly #capacity: number;
  readonly #tables = new Map<string, RopeTables>();

  constructor(width: number, capacity = 4) {
    this.#width = width;
    this.#capacity = capacity;
  }

  /** The tables of given positions, built at first use. The cache owns them: do not free them. */
  get(places: TokenPlaces, device: Device): RopeTables {
    const { frameRate, timeRule, videos = 1 } = places;
    const { F, H, W, compression } = places.grid;
    const { temporal, spatial } = compression;
    const key = [F, H, W, temporal, spatial, frameRate, timeRule, videos, device].join(" ");
    let tables = this.#tables.get(key);
    if (tables === undefined) {
      tables = keep(buildRope({ ...places, width: this.#width, device }));
      this.#evict(this.#capacity - 1);
    } else {
      this.#tables.delete(key);
    }
    this.#tables.set(key, tables);
    return tables;
  }

  free(): void {
    this.#evict(0);
  }

  #evict(upTo: number): void {
    for (const [key, { cos_BTD, sin_BTD }] of this.#tables) {
      if (this.#tables.size <= upTo) return;
      cos_BTD.free();
      sin_BTD.free();
      this.#tables.delete(key);
    }
  }
}

/** Index of each token along the three axes, `[T]` each. */
function cellIndices(grid: LatentGrid, dtype: "int64" | "float32"): [Tensor, Tensor, Tensor] {
  const { F, H, W } = grid;
  const options = { dtype };
  const f_T = arange(0, F, 1, options).reshape([F, 1, 1]).expand([F, H, W]).flatten();
  const h_T = arange(0, H, 1, options).reshape([1, H, 1]).expand([F, H, W]).flatten();
  const w_T = arange(0, W, 1, options).reshape([1, 1, W]).expand([F, H, W]).flatten();
  return [f_T, h_T, w_T];
}

/** Fractions of the range under the plain rule, `[1,T,3]`. Scales first, then divides, like the reference. */
function plainFractions(grid: LatentGrid, frameRate: number): Tensor {
  const { temporal, spatial } = grid.compression;
  const [f_T, h_T, w_T] = cellIndices(grid, "float32");
  const fractions = [
    f_T.mul(temporal / frameRate).div(baseFrames),
    h_T.mul(spatial).div(baseSide),
    w_T.mul(spatial).div(baseSide),
  ];
  return stack(fractions, -1).unsqueeze(0);
}

/** Computes angles from fractions `[B,T,3]`, then cosines and signed sines. */
function tablesFrom(width: number, fractions_BT3: Tensor, device: Device): RopeTables {
  const frequencies = ropeFrequencies(width, device);
  const signed_BT31 = fractions_BT3.to(device).unsqueeze(-1).mul(2).sub(1);
  const angles_BTA = frequencies.mul(signed_BT31).transpose(-1, -2).flatten(2, 3);
  const sin_BTA = angles_BTA.sin();
  const tables = {
    cos_BTD: angles_BTA.cos().repeatInterleave(2, -1),
    sin_BTD: stack([sin_BTA.neg(), sin_BTA], -1).flatten(2, 3),
  };
  const rest = width % 6;
  if (rest === 0) return tables;
  const lead = [fractions_BT3.size(0), fractions_BT3.size(1), rest];
  const options = { dtype: "float32", device } as const;
  return {
    cos_BTD: cat([ones(lead, options), tables.cos_BTD], -1),
    sin_BTD: cat([zeros(lead, options), tables.sin_BTD], -1),
  };
}

/**
 * The D/6 frequencies times pi/2: `10000^linspace(0, 1)`, then `* pi`, then `/ 2`, in float32.
 *
 * An error of one ulp in an exponent changes its frequency by 6e-7, relatively.
 */
export function ropeFrequencies(width: number, device: Device): Tensor {
  const exponents = tensor(fusedLinspace(Math.floor(width / 6)));
  return powScalar(theta, exponents).mul(Math.PI).div(2).to(device);
}

/**
 * `torch.linspace(0, 1, count)` with the rounding of libtorch 2.x: counts from the nearer end, with fused multiply and
 * subtract. libtorch 1.13 rounds twice, which changes the fastest rotations by 7e-3.
 */
function fusedLinspace(count: number): number[] {
  if (count === 1) return [0];
  const step = Math.fround(1 / (count - 1));
  return Array.from({ length: count }, (_, i) => {
    return Math.fround(i < Math.floor(count / 2) ? step * i : 1 - step * (count - 1 - i));
  });
}
