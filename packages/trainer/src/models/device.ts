/**
 * Where and in which number format a job computes.
 */
import { AppError } from "@ltx-trainer/contract";
import {
  cudaDeviceCount,
  type Device,
  type DType,
  emptyCache,
  setNumThreads,
  torchVersion,
} from "@ltx-trainer/torch";

export type Placement = {
  readonly device: Device;
  /** Of the frozen base model. */
  readonly dtype: DType;
};

type Wanted = {
  readonly device: string;
  readonly dtype: "auto" | "float32" | "bfloat16";
  readonly threads?: number | undefined;
};

/**
 * The first GPU when there is one, else the CPU; bfloat16 on a GPU, float32 on a CPU.
 *
 * @throws AppError `device_unavailable` when a GPU was asked for by name and is not there
 */
export function choosePlacement(wanted: Wanted): Placement {
  if (wanted.threads !== undefined) setNumThreads(wanted.threads);
  const count = cudaDeviceCount();
  const device = (wanted.device === "auto" ? (count > 0 ? "cuda:0" : "cpu") : wanted.device) as Device;
  const index = device === "cuda" ? 0 : Number(device.split(":")[1] ?? -1);
  if (index >= count) {
    throw new AppError({
      code: "device_unavailable",
      message: `device: got ${device}, expected cpu${count > 0 ? ` or cuda:0 to cuda:${count - 1}` : ""}; libtorch ${torchVersion()} sees ${count} GPUs`,
      remedy: "`npx ltx-trainer doctor` says which libtorch was found and whether it supports a GPU.",
      facts: { device, gpus: count },
    });
  }
  const isCpu = device === "cpu";
  return { device, dtype: wanted.dtype === "auto" ? (isCpu ? "float32" : "bfloat16") : wanted.dtype };
}

/**
 * Frees a model that has done its work and gives its memory, and that of what it computed, back to the device: the next
 * model may want it in blocks of other sizes.
 */
export function releaseModel(model: { free(): void }): void {
  model.free();
  emptyCache();
}
