/**
 * For tests: compares a tensor with its reference. A failure reports the largest difference and its position.
 *
 * With PARITY_REPORT=1 in the environment every comparison is printed, passed or not.
 */
import type { Tensor } from "@ltx-trainer/torch";
import { expect } from "vitest";

export type Tolerance = {
  /** Largest absolute difference allowed. */
  readonly abs?: number;
  /** Largest difference allowed, relative to the reference's largest magnitude. */
  readonly rel?: number;
  /** The reason for this size. */
  readonly why: string;
};

export type Difference = {
  /** Largest absolute difference. */
  readonly abs: number;
  /** The same, relative to the reference's largest magnitude. */
  readonly rel: number;
  readonly at: readonly number[];
};

/** Fails unless the shapes are equal and every difference is within the tolerance. */
export function expectClose(
  name: string,
  actual: Tensor,
  reference: Tensor,
  tolerance: Tolerance,
): Difference {
  expect(actual.shape, `${name}: shape`).toEqual(reference.shape);
  const difference = compare(actual, reference);
  const limits = [
    tolerance.abs === undefined ? [] : [`abs ${difference.abs.toExponential(1)} of ${tolerance.abs}`],
    tolerance.rel === undefined ? [] : [`rel ${difference.rel.toExponential(1)} of ${tolerance.rel}`],
  ].flat();
  const line = `${name}: ${limits.join(", ")} at [${difference.at.join(",")}]`;
  if (process.env.PARITY_REPORT === "1") process.stderr.write(`parity ${line}\n`);
  const withinAbs = tolerance.abs === undefined || difference.abs <= tolerance.abs;
  const withinRel = tolerance.rel === undefined || difference.rel <= tolerance.rel;
  expect(withinAbs && withinRel, `${line}. Tolerance: ${tolerance.why}`).toBe(true);
  return difference;
}

/** The largest difference and its position. A NaN on one side only counts as an infinite difference. */
export function compare(actual: Tensor, reference: Tensor): Difference {
  const a = actual.detach().to({ dtype: "float64", device: "cpu" }).toArray();
  const b = reference.detach().to({ dtype: "float64", device: "cpu" }).toArray();
  let worst = 0;
  let abs = 0;
  let largest = 0;
  for (let i = 0; i < b.length; i++) {
    const gap = Object.is(a[i], b[i]) ? 0 : Math.abs(a[i]! - b[i]!);
    const distance = Number.isNaN(gap) ? Number.POSITIVE_INFINITY : gap;
    if (distance > abs) [abs, worst] = [distance, i];
    largest = Math.max(largest, Math.abs(b[i]!));
  }
  return { abs, rel: abs === 0 ? 0 : abs / largest, at: unravel(worst, actual.shape) };
}

export type RoundingTolerance = {
  /** Largest L2 error allowed, in errors of the reference. */
  readonly l2: number;
  /** Largest error of one element allowed, in largest errors of the reference. */
  readonly largest: number;
  /** The reason for this size. */
  readonly why: string;
};

/**
 * The tolerance of results in bfloat16. Kernels round at different places, so two correct results differ by more than the
 * error of either, and the difference depends on the processor. The error of each depends only on the number of roundings.
 */
const roundingTolerance: RoundingTolerance = {
  l2: 2,
  largest: 3,
  why: "as many bfloat16 roundings as the reference's; at other places, so single elements vary more",
};

/**
 * Fails unless the error of a result in bfloat16 is about as small as that of the reference's own bfloat16 result.
 *
 * @param compared `exact`: the result in float32; `reference`: the reference's result in bfloat16
 * @returns the two errors in units of the reference's errors
 */
export function expectRoundingOnly(
  name: string,
  actual: Tensor,
  compared: { readonly exact: Tensor; readonly reference: Tensor },
  tolerance: RoundingTolerance = roundingTolerance,
): { readonly l2: number; readonly largest: number } {
  const { exact, reference } = compared;
  expect(actual.shape, `${name}: shape`).toEqual(reference.shape);
  expect(actual.dtype, `${name}: type`).toBe("bfloat16");
  const [ours, theirs] = [errorsOf(actual, exact), errorsOf(reference, exact)];
  const [l2, largest] = [ours.l2 / theirs.l2, ours.largest / theirs.largest];
  const line =
    `${name}: l2 error ${ours.l2.toExponential(1)}, ${l2.toFixed(2)} times the reference's (of ${tolerance.l2}), ` +
    `largest ${largest.toFixed(2)} times (of ${tolerance.largest})`;
  if (process.env.PARITY_REPORT === "1") process.stderr.write(`parity ${line}\n`);
  const within = l2 <= tolerance.l2 && largest <= tolerance.largest;
  expect(within, `${line}. Tolerance: ${tolerance.why}`).toBe(true);
  return { l2, largest };
}

/** Errors relative to the exact tensor's norm and largest magnitude, at least one rounding. */
function errorsOf(actual: Tensor, exact: Tensor): { l2: number; largest: number } {
  const [a, b] = [actual, exact].map((x) =>
    x.detach().to({ dtype: "float64", device: "cpu" }).toFloat64Array(),
  );
  let [squares, norm, largest, magnitude] = [0, 0, 0, 0];
  for (let i = 0; i < b!.length; i++) {
    const error = Math.abs(a![i]! - b![i]!);
    squares += error ** 2;
    norm += b![i]! ** 2;
    // Not Math.max alone: a NaN must count.
    largest = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(largest, error);
    magnitude = Math.max(magnitude, Math.abs(b![i]!));
  }
  const l2 = Number.isNaN(squares) ? Number.POSITIVE_INFINITY : Math.sqrt(squares / norm);
  return { l2: Math.max(l2, rounding), largest: Math.max(largest / magnitude, rounding) };
}

/** Half the distance between 1 and the next bfloat16: the largest relative error of one rounding. */
const rounding = 2 ** -8 / 2;

/** Cosine of the angle between two tensors: 1 if they are equal up to a positive factor. */
export function cosine(a: Tensor, b: Tensor): number {
  const [x, y] = [a.detach().to("float32"), b.detach().to("float32")];
  return x.mul(y).sum().div(x.norm().mul(y.norm())).item();
}

function unravel(flat: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  let rest = flat;
  for (const size of shape.toReversed()) {
    index.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return index;
}
