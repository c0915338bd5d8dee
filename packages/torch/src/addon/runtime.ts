/**
 * State of the process: threads, devices, memory, versions.
 */
import { availableParallelism, totalmem } from "node:os";
import type { Device } from "../tensor/dtype.ts";
import { native } from "./binding.ts";

export function torchVersion(): string {
  return native.version();
}

/** libtorch's own description of how it was built: BLAS, oneDNN, CPU capability. */
export function torchConfiguration(): string {
  return native.configuration();
}

/** Threads inside one operator. */
export function setNumThreads(count: number): void {
  native.setNumThreads(count);
}

export function numThreads(): number {
  return native.numThreads();
}

/**
 * Whether a GPU may round the factors of float32 products and convolutions to TF32, which keeps 10 bits of mantissa.
 * libtorch's default: convolutions yes, matrix products no.
 *
 * @internal for tests
 */
export function setTf32(on: boolean): void {
  native.setTf32(on);
}

export function cudaDeviceCount(): number {
  return native.cudaDeviceCount();
}

export function cudaIsAvailable(): boolean {
  return native.cudaDeviceCount() > 0;
}

/** Waits until the device has finished all queued work. A no-op on a CPU. */
export function synchronize(device: Device): void {
  native.synchronize(device);
}

/**
 * Milliseconds that the device spends on the work queued by `body`, measured by the device's own clock if it has one.
 *
 * @throws TorchError on a GPU with libtorch before 2.0, whose events cannot be timed
 *
 * @internal for tests
 */
export function timeOnDevice(device: Device, body: () => void): number {
  if (device === "cpu") {
    const started = performance.now();
    body();
    return performance.now() - started;
  }
  const from = native.recordEvent(device);
  body();
  return native.elapsedMilliseconds(from, native.recordEvent(device));
}

/** Number of tensors that JavaScript holds now. */
export function liveTensors(): number {
  return native.liveTensors();
}

/** Bytes of all live CPU tensors, including those held only by autograd. */
export function liveBytes(): number {
  return native.liveBytes();
}

export type MemoryStats = {
  readonly allocatedBytes: number;
  /** Only known for CUDA devices. */
  readonly peakBytes?: number;
  /** Freed blocks kept for reuse. */
  readonly cachedBytes: number;
};

/**
 * Undefined for a CUDA device when the addon was built against a libtorch before 2.9 without CUDA's headers.
 *
 * @throws TorchError when there is no such device
 */
export function memoryStats(device: Device): MemoryStats | undefined {
  if (device === "cpu") return { allocatedBytes: native.liveBytes(), cachedBytes: native.cachedBytes() };
  const figures = native.cudaMemory(indexOf(device));
  if (!figures) return undefined;
  const [allocatedBytes, peakBytes, reserved] = figures;
  return { allocatedBytes, peakBytes, cachedBytes: reserved - allocatedBytes };
}

/** Resets a CUDA device's `peakBytes` to what is allocated now. A no-op for the CPU. */
export function resetPeakMemory(device: Device): void {
  if (device !== "cpu") native.resetCudaPeak(indexOf(device));
}

/** "cuda" without an index is the first GPU. */
function indexOf(device: Device): number {
  return device === "cuda" ? 0 : Number(device.slice("cuda:".length));
}

/** Gives cached blocks back to the system and the GPU. */
export function emptyCache(): void {
  native.emptyCache();
}

/**
 * How many bytes of freed CPU blocks are kept for reuse: a quarter of the memory that this process may use. In a
 * container that is the container's limit, because cached blocks count against it and the kernel kills a process above it.
 *
 * @param memory `constrained` is the control group's limit in bytes: 0 where unknown, larger than `total` where there is none
 */
export function cacheLimitOf(memory: { readonly total: number; readonly constrained: number }): number {
  const { total, constrained } = memory;
  return Math.floor((constrained > 0 ? Math.min(total, constrained) : total) / 4);
}

native.setCacheLimit(cacheLimitOf({ total: totalmem(), constrained: process.constrainedMemory() }));

// Debian's libtorch starts with one thread, but users expect all cores. OMP_NUM_THREADS wins when it is set.
if (!process.env.OMP_NUM_THREADS) native.setNumThreads(availableParallelism());
