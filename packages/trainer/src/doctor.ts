/**
 * What only a process with libtorch loaded can tell: its version, its BLAS, its GPUs, and how fast a matrix product is.
 */
import type { DoctorCheck, DoctorOutputs } from "@ltx-trainer/contract";
import {
  cudaDeviceCount,
  Generator,
  memoryStats,
  numThreads,
  randn,
  scope,
  torchConfiguration,
  torchVersion,
} from "@ltx-trainer/torch";

/** With reference BLAS a product ran at 3 GFLOP/s a core, with OpenBLAS at 75 or more (LOG.md). */
const slowPerThread = 12;

export function examine(): DoctorOutputs {
  return { checks: [library(), matrixProduct(), gpu()] };
}

function library(): DoctorCheck {
  const capability = /CPU capability usage: (\S+)/.exec(torchConfiguration())?.[1] ?? "unknown";
  return {
    name: "libtorch",
    status: "ok",
    detail: `${torchVersion()}, ${numThreads()} threads, ${capability}`,
  };
}

/** Best of several products of 1024 x 1024, in GFLOP/s. */
function matrixRate(): number {
  return scope(() => {
    const a = randn([1024, 1024], { generator: new Generator(1) });
    let best = Number.POSITIVE_INFINITY;
    for (let run = 0; run < 5; run++) {
      const started = performance.now();
      scope(() => void a.matmul(a));
      best = Math.min(best, performance.now() - started);
    }
    return (2 * 1024 ** 3) / best / 1e6;
  });
}

function matrixProduct(): DoctorCheck {
  const rate = Math.round(matrixRate());
  const detail = `${rate} GFLOP/s in a float32 product of 1024 x 1024`;
  if (rate >= slowPerThread * numThreads()) return { name: "matrix product", status: "ok", detail };
  return {
    name: "matrix product",
    status: "warn",
    detail: `${detail}; that is what reference BLAS gives`,
    fix: "Debian: apt-get install libopenblas0-pthread, then `update-alternatives --config libblas.so.3-x86_64-linux-gnu`.",
  };
}

function gpu(): DoctorCheck {
  const count = cudaDeviceCount();
  if (count === 0) {
    return { name: "GPU", status: "ok", detail: "none seen by this libtorch; ltx-nano trains on the CPU" };
  }
  const statistics = memoryStats("cuda:0") ? "" : "; memory statistics need CUDA's headers at build time";
  return { name: "GPU", status: "ok", detail: `${count} CUDA device${count === 1 ? "" : "s"}${statistics}` };
}
