/**
 * The flow-matching objective: what the transformer learns to predict at one noise level.
 *
 * Latents move on a straight line from data (sigma = 0) to noise (sigma = 1); the model predicts that line's velocity,
 * `noise - latents`. With first-frame conditioning the first latent frame stays clean, is told timestep 0, and is left
 * out of the loss: that is how a model learns to continue a picture. A reference video (IC-LoRA) is given in the same
 * way: its clean tokens stand in front of the video's, at the same positions, and are not predicted.
 *
 * Shapes: B batch, T video tokens (F * H * W), S tokens the model sees (T, with a reference 2 T), C latent channels,
 * F H W latent frames, height, width, G groups of tokens that share a timestep.
 * Source: Lightricks/LTX-Video-Trainer@31b1273, `training_strategies.py`, `timestep_samplers.py`. Different on purpose:
 * noise is float32 whatever the latents are, and the shift can be held above 4096 tokens.
 */
import { type LatentGrid, packLatents } from "@ltx-trainer/ltx";
import { cat, full, type Generator, noGrad, randn, scope, type Tensor, zerosLike } from "@ltx-trainer/torch";

/** Mean of the logit of sigma, for a number of tokens: a line through (1024, 0.95) and (4096, 2.05). */
export function sigmaShift(tokens: number, options: { readonly clamp: boolean }): number {
  const counted = options.clamp ? Math.min(tokens, 4096) : tokens;
  return 0.95 + ((2.05 - 0.95) / (4096 - 1024)) * (counted - 1024);
}

/** Noise levels in (0, 1), shifted-logit-normal: `sigmoid(N(shift, 1))`, float32 `[count]`. */
export function drawSigmas(count: number, shift: number, generator: Generator): Tensor {
  return scope(() => randn([count], { generator }).add(shift).sigmoid());
}

export type Noised = {
  /** Model input, float32. */
  readonly tokens_BSC: Tensor;
  /** `noise - latents`, float32; of the video alone. */
  readonly velocity_BTC: Tensor;
  /** What the model is told: sigma times 1000, rounded; one value, or one per latent frame with given frames at 0. */
  readonly timestep_BG: Tensor;
  /** Tokens at the start of the sequence that are given, not predicted. */
  readonly givenTokens: number;
};

/**
 * Mixes clean latents with noise: `(1 - sigma) latents + sigma noise`.
 *
 * @param options.keepFirstFrame leave latent frame 0 clean; ignored for a clip of one latent frame
 * @throws RangeError when there is not exactly one sigma per sample
 */
export function addNoise(
  latents_BCFHW: Tensor,
  noise_BCFHW: Tensor,
  sigma_B: Tensor,
  options: { readonly grid: LatentGrid; readonly keepFirstFrame: boolean },
): Noised {
  const { grid } = options;
  const batch = latents_BCFHW.size(0);
  if (sigma_B.numel !== batch) {
    throw new RangeError(`addNoise: got ${sigma_B.numel} sigmas for ${batch} samples`);
  }
  return noGrad(() =>
    scope(() => {
      const latents_BTC = packLatents(latents_BCFHW).to("float32");
      const noise_BTC = packLatents(noise_BCFHW).to("float32");
      const sigma_B11 = sigma_B.reshape([-1, 1, 1]);
      const mixed_BTC = latents_BTC.mul(sigma_B11.rsub(1)).add(noise_BTC.mul(sigma_B11));
      const velocity_BTC = noise_BTC.sub(latents_BTC);
      const timestep_B1 = sigma_B.mul(1000).round().reshape([batch, 1]);
      if (!options.keepFirstFrame || grid.F === 1) {
        return { tokens_BSC: mixed_BTC, velocity_BTC, timestep_BG: timestep_B1, givenTokens: 0 };
      }
      const givenTokens = grid.H * grid.W;
      const rest = grid.tokens - givenTokens;
      const clean = latents_BTC.narrow(1, 0, givenTokens);
      const zero_B1 = full([batch, 1], 0, { device: sigma_B.device });
      return {
        tokens_BSC: cat([clean, mixed_BTC.narrow(1, givenTokens, rest)], 1),
        velocity_BTC,
        timestep_BG: cat([zero_B1, timestep_B1.expand([batch, grid.F - 1])], 1),
        givenTokens,
      };
    }),
  );
}

/** Puts a clean reference video of the same grid in front: its tokens are told timestep 0. */
export function prependReference(noised: Noised, reference_BCFHW: Tensor, grid: LatentGrid): Noised {
  return noGrad(() =>
    scope(() => {
      const { tokens_BSC, timestep_BG } = noised;
      const reference_BTC = packLatents(reference_BCFHW).to("float32");
      const perFrame_BF = timestep_BG.expand([timestep_BG.size(0), grid.F]);
      return {
        ...noised,
        tokens_BSC: cat([reference_BTC, tokens_BSC], 1),
        timestep_BG: cat([zerosLike(perFrame_BF), perFrame_BF], 1),
        givenTokens: noised.givenTokens + grid.tokens,
      };
    }),
  );
}

/** Mean squared error over the predicted tokens, in float32: bfloat16 keeps too few digits to watch a loss fall. */
export function velocityLoss(predicted_BSC: Tensor, noised: Noised): Tensor {
  const count = predicted_BSC.size(1) - noised.givenTokens;
  const predicted = lastTokens(predicted_BSC, count).to("float32");
  return predicted.sub(lastTokens(noised.velocity_BTC, count)).square().mean();
}

function lastTokens(x_BTC: Tensor, count: number): Tensor {
  const all = x_BTC.size(1);
  return count === all ? x_BTC : x_BTC.narrow(1, all - count, count);
}
