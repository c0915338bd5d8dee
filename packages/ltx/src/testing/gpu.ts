/**
 * For tests that need a GPU: which one, how they are skipped where there is none, and how far off it may be.
 *
 * LTX_TEST_DEVICE=cpu runs them on the CPU instead: so their own code can be tried anywhere. PARITY_REPORT=1 prints
 * every difference.
 */
import { cudaIsAvailable, type Device, parseDevice, setTf32 } from "@ltx-trainer/torch";
import { beforeAll, describe } from "vitest";
import type { Tolerance } from "./expect-close.ts";

export const testDevice: Device = parseDevice(process.env.LTX_TEST_DEVICE ?? "cuda");

/** `describe` under a name that says what it needs, skipped where that is not there. Its float32 is not TF32. */
export function describeOnGpu(title: string, body: () => void): void {
  const isMissing = testDevice !== "cpu" && !cudaIsAvailable();
  describe.skipIf(isMissing)(`needs a GPU: ${title}`, () => {
    beforeAll(() => setTf32(false));
    body();
  });
}

/**
 * A CPU tolerance widened for a GPU: sums are split over thousands of threads, and its sine, exponential and
 * convolution algorithms round in their own places. A wrong device, mask or order is off by far more.
 */
export function onGpu(tolerance: Tolerance, factor = 4): Tolerance {
  const { abs, rel, why } = tolerance;
  return {
    ...(abs === undefined ? {} : { abs: abs * factor }),
    ...(rel === undefined ? {} : { rel: rel * factor }),
    why: `${why}; ${factor} times that on a GPU, whose sums and functions round differently`,
  };
}
