/**
 * The VAE's loss: reconstruct clips from latents that are smooth and of moderate size.
 *
 * Idea: besides pixels, their means over 4 x 4 and 16 x 16 cells are compared, because a fresh VAE first has to learn
 * large areas of colour, for which single pixels give little gradient. The log-variance starts low: otherwise the noise of
 * the posterior dominates the first latents and training never starts (tried: stuck at 11 dB).
 *
 * Shapes: B batch, C latent channels, F H W latent frames, height, width, f h w pixel frames, height, width.
 */
import type { Vae } from "@ltx-trainer/ltx";
import { type Generator, noGrad, rand, randn, scope, type Tensor } from "@ltx-trainer/torch";

const initialLogVariance = -5;
const initialBias = 0.7;
const offCentreShare = 0.2;
const pooledWeight = 0.5;
const squareWeight = 2;
/** Weight of the divergence from a unit Gaussian, per latent number. */
const divergenceWeight = 1e-4;
/** The decoder sees latents with up to this much noise, told by its timestep. */
const largestDecodeTimestep = 0.1;
/**
 * Noise at decode timestep t: as much as the released pair says (timestep 0.05, noise scale 0.025), and with finished
 * latents, which are of unit size, three times that. At its usual timestep the decoder so also mends what a sampler
 * left undone.
 */
const noisePerTimestep = { fresh: 0.5, finished: 1.5 } as const;

/**
 * A start from which colours are learnt quickly. The fresh VAE averages on the way in, repeats on the way out and looks
 * mostly at single places, so a flat colour survives it from the first steps:
 * - residual branches begin at zero, upsamplers begin by repeating;
 * - other kernels are mostly their centre tap: a network of full kernels first has to unlearn the zero borders;
 * - the first biases are large, because the pixel norms leave only directions, and grey has none without a bias;
 * - the log-variance is low and the same everywhere.
 */
export function calmStart(vae: Vae, generator: Generator): void {
  const last = vae.config.latentChannels;
  noGrad(() => {
    for (const [name, parameter] of vae.parameters.all) {
      scope(() => calmTensor(name, parameter, generator));
    }
    const { all } = vae.parameters;
    all.get("encoder.conv_out.conv.weight")!.select(0, last).zero_();
    all.get("encoder.conv_out.conv.bias")!.select(0, last).fill_(initialLogVariance);
  });
}

function calmTensor(name: string, parameter: Tensor, generator: Generator): void {
  const isUpsampler = name.includes("upsamplers.0.conv.");
  if (name.includes(".conv2.conv.") || name.includes("downsamplers.0.conv.")) parameter.zero_();
  else if (isUpsampler && name.endsWith(".bias")) parameter.zero_();
  else if (isUpsampler) repeatAtFirst(parameter, generator);
  else if (parameter.ndim === 5) centreFirst(parameter, name.startsWith("encoder."), generator);
  else if (name.endsWith("conv_in.conv.bias")) {
    parameter.copy_(randn(parameter.shape, { generator }).mul(initialBias));
  }
}

/** A causal kernel looks at frames before and at its own, which is its last. */
function centreFirst(weight: Tensor, isCausal: boolean, generator: Generator): void {
  const [rows, columns] = [weight.size(0), weight.size(1)];
  const centre = rand([rows, columns], { generator })
    .mul(2)
    .sub(1)
    .mul(Math.sqrt(3 / columns));
  weight.mul_(offCentreShare);
  const tap = (time: number): Tensor => weight.select(4, 1).select(3, 1).select(2, time);
  if (!isCausal) tap(1).copy_(centre);
  else {
    tap(2).copy_(centre.mul(0.7));
    tap(1).copy_(centre.mul(0.3));
  }
}

/** The eight places of an unfolded cell get the same mix of the cell's channels, and neighbours have no part in it. */
function repeatAtFirst(weight: Tensor, generator: Generator): void {
  const [rows, columns] = [weight.size(0), weight.size(1)];
  const places = 8;
  const mix = rand([rows / places, columns], { generator })
    .mul(2)
    .sub(1)
    .mul(Math.sqrt(3 / columns));
  weight.zero_();
  weight.select(4, 1).select(3, 1).select(2, 1).copy_(mix.repeatInterleave(places, 0));
}

export type VaeLoss = {
  readonly total: Tensor;
  readonly absolute: Tensor;
  readonly square: Tensor;
  readonly divergence: Tensor;
};

/**
 * The loss of one batch; half of the samples are decoded clean, half from slightly noisy latents.
 *
 * @param latents "finished" ones are of unit size and learn no more: the loss has no gradient into the encoder
 */
export function vaeLoss(
  vae: Vae,
  pixels_BCfhw: Tensor,
  generator: Generator,
  latents: "fresh" | "finished" = "fresh",
): VaeLoss {
  const posterior = latents === "fresh" ? vae.encode(pixels_BCfhw) : noGrad(() => vae.encode(pixels_BCfhw));
  const latents_BCFHW = latents === "fresh" ? vae.sample(posterior, { generator }) : posterior.mean_BCFHW;
  const B = pixels_BCfhw.size(0);
  const drawn_B = rand([B], { generator }).mul(2).sub(1).clamp(0, 1).mul(largestDecodeTimestep);
  const scale_B1111 = drawn_B.mul(noisePerTimestep[latents]).reshape([B, 1, 1, 1, 1]);
  const noise_BCFHW = randn(latents_BCFHW.shape, { generator });
  const noisy_BCFHW = latents_BCFHW.mul(scale_B1111.neg().add(1)).add(noise_BCFHW.mul(scale_B1111));
  const error_BCfhw = vae.decode(noisy_BCFHW, { timestep: drawn_B }).sub(pixels_BCfhw);
  const absolute = error_BCfhw.abs().mean();
  const square = error_BCfhw.square().mean();
  const { mean_BCFHW, logvar_B1FHW } = posterior;
  const divergence = mean_BCFHW.square().add(logvar_B1FHW.exp()).sub(1).sub(logvar_B1FHW).mean().mul(0.5);
  const error = absolute
    .add(square.mul(squareWeight))
    .add(pooledAbsolute(error_BCfhw, 4).add(pooledAbsolute(error_BCfhw, 8)).mul(pooledWeight));
  const total = latents === "fresh" ? error.add(divergence.mul(divergenceWeight)) : error;
  return { total, absolute, square, divergence };
}

/** Mean absolute value of an error averaged over square cells. */
function pooledAbsolute(error_BCfhw: Tensor, cell: number): Tensor {
  const [h, w] = [error_BCfhw.size(3), error_BCfhw.size(4)];
  return error_BCfhw
    .unflatten(4, [w / cell, cell])
    .unflatten(3, [h / cell, cell])
    .mean([4, 6])
    .abs()
    .mean();
}

/** Peak signal-to-noise ratio of each clip in dB, pixels in [-1, 1], cut to that range as a viewer does. */
export function psnr(decoded_BCfhw: Tensor, pixels_BCfhw: Tensor): number[] {
  const square_B = decoded_BCfhw.clamp(-1, 1).sub(pixels_BCfhw).square().mean([1, 2, 3, 4]);
  // Flat pictures can come out almost exact; 60 dB is as good as it gets.
  return square_B
    .clamp(4e-6)
    .toArray()
    .map((square) => 10 * Math.log10(4 / square));
}
