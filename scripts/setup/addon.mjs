/**
 * Builds the native addon against the libtorch that was found.
 *
 * build-info.json beside the addon records its inputs: the library, our sources, and Node's binary interface. The addon is
 * rebuilt when one of them changes.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { libtorchFingerprint } from "./inspect-libtorch.mjs";
import { CommandError, run, SetupError } from "./run.mjs";

/**
 * @typedef {import("./inspect-libtorch.mjs").Libtorch} Libtorch
 * @typedef {import("./steps.mjs").Progress} Progress
 * @typedef {{ libtorch: { kind: string, root: string, version: string, cuda: boolean, blas: string },
 *   fingerprint: string, sources: string, nodeAbi: string }} BuildInfo
 */

/** One compiler of ATen's headers needs about this much. */
const compilerBytes = 1.5e9;

/**
 * How many compilers fit into memory. In a container its limit counts, not the machine's memory.
 *
 * @param {{ cores: number, total: number, constrained: number }} machine `constrained`: the control group's limit in
 *   bytes, 0 where unknown, larger than `total` where there is none
 */
export function compilersAtOnce({ cores, total, constrained }) {
  const memory = constrained > 0 ? Math.min(total, constrained) : total;
  return Math.max(1, Math.min(cores, Math.floor(memory / compilerBytes)));
}

/** @param {string} root the repository */
function places(root) {
  const build = join(root, "packages/torch/build");
  return {
    native: join(root, "packages/torch/native"),
    build,
    addon: join(build, "ltx_torch.node"),
    info: join(build, "build-info.json"),
    headers: join(root, "node_modules/node-api-headers/include"),
  };
}

/**
 * Whether the addon that is there was built from just these things.
 *
 * @param {string} root
 * @param {Libtorch} libtorch
 */
export function addonIsCurrent(root, libtorch) {
  const { addon, info } = places(root);
  if (!existsSync(addon) || !existsSync(info)) return false;
  return readFileSync(info, "utf8") === formatInfo(buildInfo(root, libtorch));
}

/**
 * Configures, compiles, links and loads the addon once.
 *
 * @param {string} root
 * @param {Libtorch} libtorch
 * @param {Progress} progress
 * @throws {SetupError} with the compiler's last lines
 */
export async function buildAddon(root, libtorch, progress) {
  const { native, build, addon, headers } = places(root);
  // Another libtorch's answers must not survive in CMake's cache.
  for (const name of ["CMakeCache.txt", "CMakeFiles", "build-info.json"]) {
    rmSync(join(build, name), { recursive: true, force: true });
  }
  const parallel = compilersAtOnce({
    cores: availableParallelism(),
    total: totalmem(),
    constrained: process.constrainedMemory(),
  });
  try {
    progress("configuring", 0);
    await run("cmake", ["-S", native, "-B", build, ...cmakeSettings(libtorch, headers)]);
    await run("cmake", ["--build", build, "--parallel", String(parallel)], {
      onLine: (line) => {
        const percent = /^\[\s*(\d+)%\] (.*)$/.exec(line);
        if (percent) progress(percent[2] ?? "", Number(percent[1]) / 100);
      },
    });
    await run(process.execPath, ["-e", `require(${JSON.stringify(addon)})`]);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new SetupError(
      `native addon: could not be built against libtorch ${libtorch.version} in ${libtorch.root}\n${error.message}\n` +
        "To use another libtorch, name its folder in LIBTORCH and run this again.",
    );
  }
  recordBuild(root, libtorch);
}

/**
 * Notes what the addon that is there now was built from.
 *
 * @param {string} root
 * @param {Libtorch} libtorch
 */
export function recordBuild(root, libtorch) {
  writeFileSync(places(root).info, formatInfo(buildInfo(root, libtorch)));
}

/**
 * The answers packages/torch/native/CMakeLists.txt asks for.
 *
 * @param {Libtorch} libtorch
 * @param {string} headers folder with node_api.h
 */
export function cmakeSettings(libtorch, headers) {
  const settings = {
    CMAKE_BUILD_TYPE: "Release",
    LIBTORCH_INCLUDE: libtorch.includeDirs.join(";"),
    LIBTORCH_LIB: libtorch.libDir,
    LIBTORCH_CXX11_ABI: libtorch.cxx11Abi ? "1" : "0",
    LIBTORCH_CXX_STANDARD: String(libtorch.cxxStandard),
    NODE_API_INCLUDE: headers,
    ...(libtorch.cuda && libtorch.cudaInclude ? { CUDA_INCLUDE: libtorch.cudaInclude } : {}),
  };
  return Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
}

/**
 * @param {string} root
 * @param {Libtorch} libtorch
 * @returns {BuildInfo}
 */
function buildInfo(root, libtorch) {
  const { kind, version, cuda, blas } = libtorch;
  return {
    libtorch: { kind, root: libtorch.root, version, cuda, blas },
    fingerprint: libtorchFingerprint(libtorch),
    sources: hashSources(places(root).native),
    nodeAbi: process.versions.modules,
  };
}

/** @param {BuildInfo} info */
function formatInfo(info) {
  return `${JSON.stringify(info, null, 2)}\n`;
}

/** @param {string} folder */
function hashSources(folder) {
  const hash = createHash("sha256");
  for (const name of readdirSync(folder).sort())
    hash.update(`${name}\n`).update(readFileSync(join(folder, name)));
  return hash.digest("hex");
}
