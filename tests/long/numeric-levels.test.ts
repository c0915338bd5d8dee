/**
 * The numeric suites at every instruction level this machine can be set to: what passes on one processor has to pass on
 * all, and libtorch, oneDNN and OpenBLAS each choose other kernels on another.
 *
 * A level above this processor's is skipped, and the summary names it.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { addonPath } from "@ltx-trainer/torch";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const suites = ["packages/torch/src", "packages/ltx/src", "packages/trainer/src/train"];

type Level = { readonly env: Readonly<Record<string, string>>; readonly needs?: string };

const level = (variable: string, value: string, needs?: string): Level => ({
  env: { [variable]: value },
  ...(needs === undefined ? {} : { needs }),
});

/** `needs`: the flag in /proc/cpuinfo without which the processor is below the level. */
const levels: readonly Level[] = [
  { env: {} },
  level("ATEN_CPU_CAPABILITY", "default"),
  level("ATEN_CPU_CAPABILITY", "avx2", "avx2"),
  level("ATEN_CPU_CAPABILITY", "avx512", "avx512f"),
  level("DNNL_MAX_CPU_ISA", "SSE41"),
  level("DNNL_MAX_CPU_ISA", "AVX", "avx"),
  level("DNNL_MAX_CPU_ISA", "AVX2", "avx2"),
  level("DNNL_MAX_CPU_ISA", "AVX2_VNNI", "avx2"),
  level("DNNL_MAX_CPU_ISA", "AVX512_CORE", "avx512bw"),
  level("DNNL_MAX_CPU_ISA", "AVX512_CORE_VNNI", "avx512_vnni"),
  level("DNNL_MAX_CPU_ISA", "AVX512_CORE_BF16", "avx512_bf16"),
  level("DNNL_MAX_CPU_ISA", "AVX512_CORE_AMX", "amx_bf16"),
  level("OPENBLAS_CORETYPE", "Prescott"),
  level("OPENBLAS_CORETYPE", "Nehalem", "sse4_2"),
  level("OPENBLAS_CORETYPE", "Sandybridge", "avx"),
  level("OPENBLAS_CORETYPE", "Haswell", "avx2"),
  level("OPENBLAS_CORETYPE", "Zen", "avx2"),
  level("OPENBLAS_CORETYPE", "SkylakeX", "avx512bw"),
  level("OPENBLAS_CORETYPE", "Cooperlake", "avx512_bf16"),
  level("OPENBLAS_CORETYPE", "Sapphirerapids", "amx_bf16"),
  {
    env: { ATEN_CPU_CAPABILITY: "default", DNNL_MAX_CPU_ISA: "SSE41", OPENBLAS_CORETYPE: "Prescott" },
  },
  {
    env: { ATEN_CPU_CAPABILITY: "avx2", DNNL_MAX_CPU_ISA: "AVX2", OPENBLAS_CORETYPE: "Haswell" },
    needs: "avx2",
  },
];

const processor = new Set(/^flags\s*:\s*(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.split(" "));

/** The BLAS of the libtorch that the addon was built against. */
function blas(): string {
  const info = JSON.parse(readFileSync(join(dirname(addonPath()), "build-info.json"), "utf8"));
  return (info as { libtorch: { blas: string } }).libtorch.blas;
}

/** Why a level cannot be had here, or undefined. */
function obstacle({ env, needs }: Level): string | undefined {
  if (process.arch !== "x64") return `needs an x86-64 processor, this is ${process.arch}`;
  if (needs !== undefined && !processor.has(needs)) return `needs a processor with ${needs}`;
  const isBlasOnly = Object.keys(env).join() === "OPENBLAS_CORETYPE";
  return isBlasOnly && blas() !== "openblas"
    ? `needs a libtorch on OpenBLAS, this one's is ${blas()}`
    : undefined;
}

/** Runs the suites in one process. @returns the exit code and what was printed */
function runSuites(env: Readonly<Record<string, string>>): Promise<{ code: number | null; output: string }> {
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const options = ["run", "--no-isolate", "--maxWorkers=1", "--reporter=default", ...suites];
  const child = spawn(process.execPath, [vitest, ...options], {
    cwd: root,
    env: { ...process.env, ...env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}

for (const one of levels) {
  const settings = Object.entries(one.env).map(([name, value]) => `${name}=${value}`);
  const name = settings.length === 0 ? "the processor's own level" : settings.join(" ");
  test(`every numeric test passes at ${name}`, async ({ skip }) => {
    const missing = obstacle(one);
    if (missing !== undefined) skip(missing);
    const { code, output } = await runSuites(one.env);
    const failures = output.split("\n").filter((line) => /FAIL|Error:|passed|failed/.test(line));
    expect(code, failures.join("\n") || output.slice(-4000)).toBe(0);
    expect(output).toMatch(/Tests .*\b\d{3,} passed/);
  });
}
