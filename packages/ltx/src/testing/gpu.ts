/**
 * For tests that need a GPU: selects the device, skips the tests without one, and widens tolerances.
 *
 * LTX_TEST_DEVICE=cpu runs them on the CPU instead, to test their own code. PARITY_REPORT=1 prints
 * every difference.
 */
import { cudaIsAvailable, type Device, parseDevice, setTf32 } from "@ltx-trainer/torch";
import { beforeAll, describe } from "vitest";
import type { Tolerance } from "./expect-close.ts";

export const testDevice: Device = parseDevice(process.env.LTX_TEST_DEVICE ?? "cuda");

/** `describe`, skipped without a GPU. The title says so. Turns TF32 off. */
export function describeOnGpu(title: string, body: () => void): void {
  const isMissing = testDevice !== "cpu" && !cudaIsAvailable();
  describe.skipIf(isMissing)(`needs a GPU: ${title}`, () => {
    beforeAll(() => setTf32(false));
    body();
  });
}

/**
 * Widens a CPU tolerance for a GPU, where sums are split over thousands of threads, and sine, exponential and convolutions
 * round differently. A wrong device, mask or order causes far larger differences.
 */
export function onGpu(tolerance: Tolerance, factor = 4): Tolerance {
  const { abs, rel, why } = tolerance;
  return {
    ...(abs === undefined ? {} : { abs: abs * factor }),
    ...(rel === undefined ? {} : { rel: rel * factor }),
    why: `${why}; ${factor} times that on a GPU, whose sums and functions round differently`,
  };
}
