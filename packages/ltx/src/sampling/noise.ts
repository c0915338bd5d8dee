/**
 * Where a sampling's random numbers come from: a seeded generator, or a caller that has them already.
 */
import { type Device, type DType, type Generator, randn, scope, type Tensor } from "@ltx-trainer/torch";

/** One of the two must be given. */
export type NoiseOptions = {
  /** A CPU generator gives the same noise whatever the device. */
  readonly generator?: Generator | undefined;
  /** Standard normal noise of a shape, asked for in the order of the reference's draws. Wins over `generator`. */
  readonly draw?: ((shape: readonly number[]) => Tensor) | undefined;
};

/**
 * Standard normal noise.
 *
 * @throws RangeError when there is neither a generator nor a `draw`, or `draw` answers with another shape
 */
export function drawNoise(
  options: NoiseOptions,
  shape: readonly number[],
  { dtype, device }: { readonly dtype: DType; readonly device: Device },
): Tensor {
  if (options.draw === undefined) {
    if (options.generator === undefined)
      throw new RangeError("noise: got neither generator nor draw, expected one");
    return randn(shape, { generator: options.generator, dtype, device });
  }
  const noise = scope(() => options.draw!(shape).to({ dtype, device }));
  if (noise.shape.join() !== shape.join()) {
    throw new RangeError(`noise: got [${noise.shape.join(",")}], expected [${shape.join(",")}]`);
  }
  return noise;
}
