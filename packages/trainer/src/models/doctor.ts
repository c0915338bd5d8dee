/**
 * What only a process with libtorch loaded can tell: its version, its BLAS, its GPUs, and how fast a matrix product is.
 */
import type { DoctorCheck, DoctorJob, DoctorOutputs } from "@ltx-trainer/contract";
import {
  cudaDeviceCount,
  cudaIsAvailable,
  Generator,
  memoryStats,
  numThreads,
  randn,
  scope,
  torchConfiguration,
  torchVersion,
} from "@ltx-trainer/torch";
import { findTool } from "../media/ffmpeg/ffmpeg.ts";
import { openJobBase } from "./base-models.ts";
import { choosePlacement } from "./device.ts";

/** With reference BLAS a product ran at 3 GFLOP/s a core, with OpenBLAS at 75 or more (decisions/2026-11-22-libtorch.md). */
const slowPerThread = 12;

export function examine(job: DoctorJob): DoctorOutputs {
  const checks = [library(), matrixProduct(), gpu()];
  return { checks: job.device === undefined ? checks : [...checks, ...forTraining(job, job.device)] };
}

/** What a training needs besides libtorch: its device, its base model, ffmpeg. */
function forTraining(job: DoctorJob, device: string): DoctorCheck[] {
  return [
    check("device", () => {
      const placement = choosePlacement({ device, dtype: "auto" });
      const wanted = { device: placement.device, generator: new Generator(1, placement.device) };
      scope(
        () =>
          void randn([64, 64], wanted)
            .matmul(randn([64, 64], wanted))
            .sum()
            .item(),
      );
      return placement.device;
    }),
    check("base model", () => openJobBase(job.base, job.home, cudaIsAvailable()).name),
    check("ffmpeg", () => {
      const missing = (["ffmpeg", "ffprobe"] as const).find((tool) => findTool(tool) === undefined);
      if (missing !== undefined) throw new Error(`${missing}: not found`);
      return "found";
    }),
  ];
}

function check(name: string, look: () => string): DoctorCheck {
  try {
    return { name, status: "ok", detail: look() };
  } catch (error) {
    return { name, status: "fail", detail: error instanceof Error ? error.message : String(error) };
  }
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
