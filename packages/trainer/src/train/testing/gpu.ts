/**
 * For tests that need a GPU: which one, and how they are skipped where there is none.
 *
 * LTX_TEST_DEVICE=cpu runs them on the CPU instead: so their own code can be tried anywhere.
 */
import { cudaIsAvailable, type Device, parseDevice, setTf32 } from "@ltx-trainer/torch";
import { beforeAll, describe } from "vitest";

export const testDevice: Device = parseDevice(process.env.LTX_TEST_DEVICE ?? "cuda");

/** `describe` under a name that says what it needs, skipped where that is not there. Its float32 is not TF32. */
export function describeOnGpu(title: string, body: () => void): void {
  const isMissing = testDevice !== "cpu" && !cudaIsAvailable();
  describe.skipIf(isMissing)(`needs a GPU: ${title}`, () => {
    beforeAll(() => setTf32(false));
    body();
  });
}
