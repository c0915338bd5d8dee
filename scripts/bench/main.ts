/**
 * `npm run bench [-- --rounds 5]`: overhead of the binding compared to C++ on the same libtorch, and memory growth.
 */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  addonPath,
  liveBytes,
  liveTensors,
  numThreads,
  setNumThreads,
  torchVersion,
} from "@ltx-trainer/torch";
import { buildCppSide } from "./build.mjs";
import { prepare, textLength, trainingStep } from "./cases.ts";
import { median, paired, secondsOf, secondsOfCpp } from "./measure.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    threads: { type: "string" },
    only: { type: "string" },
  },
});
const rounds = Number(values.rounds);
if (values.threads) setNumThreads(Number(values.threads));
const threads = numThreads();

const names: Readonly<Record<string, string>> = {
  add: "add of two tensors of 4 (dispatch)",
  "gemm-512": "matrix product 512",
  "gemm-1024": "matrix product 1024",
  "gemm-2048": "matrix product 2048",
  attention: "attention, 275 tokens, 4 heads of 48",
  elementwise: "add, then multiply, 42 MB each",
  conv3d: "conv3d 64 -> 64, 11 x 20 x 20",
  block: "one ltx-nano block, forward and backward",
  step: "ltx-nano training step, 275 tokens",
};

function readable(seconds: number): string {
  if (seconds < 1e-4) return `${(seconds * 1e6).toFixed(3)} us`;
  return `${(seconds * 1e3).toFixed(2)} ms`;
}

function comparisons(): void {
  console.error("building the C++ side ...");
  const program = buildCppSide({ textLength });
  console.log(
    `libtorch ${torchVersion()}, ${threads} threads, ${rounds} rounds; share = C++ time / our time`,
  );
  for (const [name, title] of Object.entries(names)) {
    if (values.only && values.only !== name) continue;
    const body = prepare(name);
    const result = paired(
      () => secondsOf(body),
      () => secondsOfCpp(program, name, threads),
      rounds,
    );
    const shares = result.ratios.map((ratio) => `${(ratio * 100).toFixed(1)} %`);
    const summary = `${(median(result.ratios) * 100).toFixed(1)} % of C++`;
    console.log(
      `${title.padEnd(40)} ours ${readable(result.ours).padStart(10)}  C++ ${readable(result.theirs).padStart(10)}  ${summary}  (${shares.join(", ")})`,
    );
  }
}

/** Live tensors and bytes after step 10 and after step 1000 of a real training step. */
function memory(): void {
  const step = trainingStep();
  const counts: string[] = [];
  for (let index = 1; index <= 1000; index++) {
    step();
    if (index === 10 || index === 1000) {
      const rss = Math.round(process.memoryUsage.rss() / 2 ** 20);
      counts.push(`step ${index}: ${liveTensors()} tensors, ${liveBytes()} bytes, process ${rss} MiB`);
    }
  }
  console.log(`memory: ${counts.join(" | ")}`);
}

if (!existsSync(addonPath())) throw new Error("no addon: run `npm run setup` first");
if (values.only !== "memory") comparisons();
if (!values.only || values.only === "memory") memory();
