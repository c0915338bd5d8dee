/**
 * For tests: compares a tensor with its reference and says how far off it is and where.
 *
 * With PARITY_REPORT=1 in the environment every comparison is printed, passed or not.
 */
import type { Tensor } from "@ltx-trainer/torch";
import { expect } from "vitest";

export type Tolerance = {
  /** Largest difference allowed, absolute. */
  readonly abs?: number;
  /** Largest difference allowed, as a share of the reference's largest magnitude. */
  readonly rel?: number;
  /** Why this much and no less. */
  readonly why: string;
};

export type Difference = {
  /** Largest absolute difference. */
  readonly abs: number;
  /** The same over the reference's largest magnitude. */
  readonly rel: number;
  readonly at: readonly number[];
};

/** Fails unless shapes agree and no element is further off than the tolerance. */
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

/** Largest difference and where it is; a NaN on one side only counts as infinitely far. */
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

/** How far two tensors point the same way: 1 where they are equal up to a positive factor. */
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
