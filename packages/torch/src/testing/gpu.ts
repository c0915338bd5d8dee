/**
 * For tests that need a GPU: selects the device, and skips the tests without one.
 *
 * LTX_TEST_DEVICE=cpu runs them on the CPU instead, to test their own code.
 */
import { beforeAll, describe } from "vitest";
import { cudaIsAvailable, type Device, parseDevice, setTf32 } from "../index.ts";

export const testDevice: Device = parseDevice(process.env.LTX_TEST_DEVICE ?? "cuda");

/** False if LTX_TEST_DEVICE selects the CPU. */
export const isGpu = testDevice !== "cpu";

/** `describe`, skipped without a GPU. The title says so. Turns TF32 off. */
export function describeOnGpu(title: string, body: () => void): void {
  describe.skipIf(isGpu && !cudaIsAvailable())(`needs a GPU: ${title}`, () => {
    beforeAll(() => setTf32(false));
    body();
  });
}
