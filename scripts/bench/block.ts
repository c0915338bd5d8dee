/**
 * `npm run bench:block`: times one transformer block with LoRA at the released widths, forward and backward. `block.py` runs
 * the same block in PyTorch (README.md).
 */
import { parseArgs } from "node:util";
import {
  cudaIsAvailable,
  type Device,
  type DType,
  emptyCache,
  Generator,
  isDType,
  memoryStats,
  numThreads,
  parseDevice,
  randn,
  resetPeakMemory,
  scope,
  setNumThreads,
  synchronize,
  torchVersion,
  writeSafetensors,
} from "@ltx-trainer/torch";
import { flopsOf, gridOfVideo, type Model, makeCase, models } from "./block-case.ts";
import { median } from "./measure.ts";

const { values } = parseArgs({
  options: {
    /** Default: a GPU where there is one. */
    device: { type: "string" },
    /** Default: bfloat16 on a GPU, float32 on a CPU. */
    dtype: { type: "string" },
    models: { type: "string", default: "2b,13b" },
    /** Width, height, frames. */
    videos: { type: "string", default: "768x448x49,576x576x81,768x448x89" },
    rounds: { type: "string", default: "9" },
    threads: { type: "string" },
    /** A block of a few thousand weights, to see that the program runs. */
    tiny: { type: "boolean", default: false },
    /** Writes weights, inputs, output and gradients of the first case there, for `block.py --compare`. */
    save: { type: "string" },
    /** One JSON object a line instead of a table. */
    json: { type: "boolean", default: false },
  },
});

type Place = { readonly device: Device; readonly dtype: DType };
type Row = {
  readonly model: string;
  readonly video: string;
  readonly tokens: number;
  readonly forward_ms: number;
  readonly step_ms: number;
  readonly tflop: number;
  readonly tflops: number;
  readonly peak_gb: number | null;
};

/** Median seconds of one repetition over `rounds` groups of at least 50 ms, each waited for. */
function secondsOf(body: () => void, device: Device, rounds: number): number {
  const timed = (count: number): number => {
    synchronize(device);
    const started = performance.now();
    for (let i = 0; i < count; i++) body();
    synchronize(device);
    return (performance.now() - started) / 1000 / count;
  };
  timed(3);
  const group = Math.max(1, Math.ceil(0.05 / timed(1)));
  return median(Array.from({ length: rounds }, () => timed(group)));
}

function shapeOf(model: string): Model {
  const shape = models[model];
  if (!shape) throw new RangeError(`models: got ${model}, expected some of ${Object.keys(models)}`);
  return shape;
}

/** Writes weights, inputs, output and gradients of a case. */
function save(path: string, model: string, video: string, place: Place): void {
  const made = makeCase(shapeOf(model), gridOfVideo(video), place);
  scope(() => writeSafetensors(path, made.tensors()));
  made.free();
}

function measure(model: string, video: string, place: Place, rounds: number): Row {
  const shape = shapeOf(model);
  const grid = gridOfVideo(video);
  const made = makeCase(shape, grid, place);
  const forward = secondsOf(made.forward, place.device, rounds);
  resetPeakMemory(place.device);
  const step = secondsOf(made.step, place.device, rounds);
  const peak = memoryStats(place.device)?.peakBytes;
  made.free();
  emptyCache();
  const tflop = flopsOf(shape, grid.tokens).step / 1e12;
  return {
    model,
    video,
    tokens: grid.tokens,
    forward_ms: forward * 1e3,
    step_ms: step * 1e3,
    tflop,
    tflops: tflop / step,
    peak_gb: peak === undefined ? null : peak / 1e9,
  };
}

/** Rate of a square matrix product in TFLOP/s: what the block's share is taken of. */
function matrixRate({ device, dtype }: Place, size: number, rounds: number): number {
  return scope(() => {
    const a = randn([size, size], { generator: new Generator(1, device) }).to(dtype);
    return (2 * size ** 3) / secondsOf(() => a.matmul(a).free(), device, rounds) / 1e12;
  });
}

function lineOf(row: Row, rate: number): string {
  const peak = row.peak_gb === null ? "-" : row.peak_gb.toFixed(2);
  const share = `${((row.tflops / rate) * 100).toFixed(1)} %`;
  return [
    row.model.padEnd(5),
    row.video.padEnd(12),
    String(row.tokens).padStart(6),
    row.forward_ms.toFixed(3).padStart(11),
    row.step_ms.toFixed(3).padStart(11),
    row.tflop.toPrecision(4).padStart(11),
    row.tflops.toPrecision(4).padStart(9),
    share.padStart(8),
    peak.padStart(8),
  ].join("  ");
}

const heading =
  "model  video         tokens   forward ms  fwd+bwd ms       TFLOP   TFLOP/s  of GEMM  peak GB";

function main(): void {
  if (values.threads) setNumThreads(Number(values.threads));
  const device = parseDevice(values.device ?? (cudaIsAvailable() ? "cuda" : "cpu"));
  const dtype = values.dtype ?? (device === "cpu" ? "float32" : "bfloat16");
  if (!isDType(dtype)) throw new RangeError(`dtype: got ${dtype}, expected float32 or bfloat16`);
  const place: Place = { device, dtype };
  const rounds = Number(values.rounds);
  const names = values.tiny ? ["tiny"] : values.models.split(",");
  const videos = values.tiny ? ["128x64x17"] : values.videos.split(",");
  if (values.save) save(values.save, names[0] ?? "", videos[0] ?? "", place);
  const rate = matrixRate(place, device === "cpu" ? 512 : 8192, rounds);
  const where = device === "cpu" ? `${numThreads()} threads` : device;
  const title = `ours: libtorch ${torchVersion()}, ${where}, ${place.dtype}, LoRA float32; GEMM ${rate.toPrecision(4)} TFLOP/s`;
  console.log(
    values.json ? JSON.stringify({ side: "ours", ...place, gemm_tflops: rate }) : `${title}\n${heading}`,
  );
  for (const name of names) {
    for (const video of videos) {
      const row = measure(name, video, place, rounds);
      console.log(values.json ? JSON.stringify(row) : lineOf(row, rate));
    }
  }
}

main();
