/**
 * For tests that need a GPU: which one, and how they are skipped where there is none.
 *
 * LTX_TEST_DEVICE=cpu runs them on the CPU instead: so their own code can be tried anywhere.
 */
import { beforeAll, describe } from "vitest";
import { cudaIsAvailable, type Device, parseDevice, setTf32 } from "../index.ts";

export const testDevice: Device = parseDevice(process.env.LTX_TEST_DEVICE ?? "cuda");

/** False where LTX_TEST_DEVICE has put another device in the GPU's place. */
export const isGpu = testDevice !== "cpu";

/** `describe` under a name that says what it needs, skipped where that is not there. Its float32 is not TF32. */
export function describeOnGpu(title: string, body: () => void): void {
  describe.skipIf(isGpu && !cudaIsAvailable())(`needs a GPU: ${title}`, () => {
    beforeAll(() => setTf32(false));
    body();
  });
}
