/**
 * Inspects one libtorch: version, folders, C++ ABI, CUDA support, and BLAS.
 *
 * Only files are read; the library is not loaded. Reference BLAS is detected because it must be refused: matrix products
 * ran at 6 instead of 150 GFLOP/s on the same two cores.
 */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { output } from "./run.mjs";

/**
 * @typedef {"environment" | "pytorch" | "system" | "archive"} LibtorchKind
 * @typedef {"openblas" | "mkl" | "blis" | "bundled" | "reference" | "unknown"} Blas
 *   bundled: inside libtorch itself, as in the official builds (MKL on x86-64, OpenBLAS on arm64)
 * @typedef {object} LibtorchFolders
 * @property {string} root
 * @property {string[]} includeDirs
 * @property {string} libDir
 * @typedef {object} LibtorchFacts
 * @property {LibtorchKind} kind where it was found
 * @property {string} version such as "1.13.0" or "2.10.0+cpu"
 * @property {boolean} cuda
 * @property {string | null} cudaInclude folder with cuda_runtime_api.h, for memory statistics before 2.9
 * @property {Blas} blas
 * @property {string | null} blasFile the library behind libblas.so.3, where that is a file of its own
 * @property {boolean} cxx11Abi
 * @property {number} cxxStandard the C++ its headers want: 17 or 20
 * @property {string[]} missing libraries it needs that the loader does not find
 * @typedef {LibtorchFolders & LibtorchFacts} Libtorch
 */

/**
 * The folders of a libtorch under `root`: an unpacked archive, a `site-packages/torch`, or a system prefix such as /usr.
 *
 * @param {string} root
 * @returns {LibtorchFolders | string} a sentence saying what is missing, when it is not a libtorch
 */
export function libtorchFolders(root) {
  const libDirs = ["lib", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib64"].map((name) =>
    join(root, name),
  );
  const libDir = libDirs.find((folder) => existsSync(join(folder, "libtorch_cpu.so")));
  if (!libDir) return `no libtorch_cpu.so under ${join(root, "lib")}`;
  const include = join(root, "include");
  if (!existsSync(join(include, "ATen/ATen.h")))
    return `${libDir} has the library, but ${include}/ATen is missing`;
  return { root, includeDirs: [include, join(include, "torch/csrc/api/include")], libDir };
}

/**
 * Everything the build and `ltx-trainer doctor` want to know about a libtorch.
 *
 * @param {LibtorchKind} kind
 * @param {LibtorchFolders} folders
 * @returns {Libtorch}
 */
export function inspectLibtorch(kind, folders) {
  const config = readText(findTorchConfig(folders.libDir));
  const dependencies = output("ldd", [join(folders.libDir, "libtorch_cpu.so")]) ?? "";
  return {
    kind,
    ...folders,
    version: readVersion(folders),
    cuda: existsSync(join(folders.libDir, "libtorch_cuda.so")),
    cudaInclude: findCudaInclude(folders.root),
    ...readBlas(dependencies),
    cxx11Abi: readCxx11Abi(config, folders.libDir),
    cxxStandard: Math.max(17, Number(/-std=c\+\+(\d+)/.exec(config)?.[1] ?? 17)),
    missing: [...dependencies.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1] ?? ""),
  };
}

/** Changes when the library's file changes; part of what decides whether the addon is built again.
 * @param {LibtorchFolders} folders
 */
export function libtorchFingerprint({ libDir }) {
  const { size, mtimeMs } = statSync(join(libDir, "libtorch_cpu.so"));
  return `${libDir} ${size} ${Math.round(mtimeMs)}`;
}

/**
 * Whose BLAS a library uses, from what the loader binds it to.
 *
 * @param {string} dependencies the output of `ldd libtorch_cpu.so`
 * @param {(path: string) => string} [resolve] follows links; Debian's libblas.so.3 is one
 * @returns {{ blas: Blas, blasFile: string | null }}
 */
export function readBlas(dependencies, resolve = realpathSync) {
  if (dependencies === "") return { blas: "unknown", blasFile: null };
  const bound = (/** @type {string} */ name) =>
    new RegExp(`^\\s*${name}\\S* => (/\\S+)`, "m").exec(dependencies)?.[1];
  const generic = bound("libblas\\.so") ?? bound("libcblas\\.so");
  const file = generic ?? bound("lib(?:scipy_)?openblas") ?? bound("libmkl_") ?? bound("libblis");
  if (!file) return { blas: "bundled", blasFile: null };
  const blasFile = resolve(file);
  const named = /openblas|mkl|blis/.exec(blasFile)?.[0];
  return { blas: /** @type {Blas} */ (named ?? "reference"), blasFile };
}

/** @param {LibtorchFolders} folders */
function readVersion({ root, includeDirs }) {
  const declared = /__version__ = '([^']+)'/.exec(readText(join(root, "version.py")))?.[1];
  const built = readText(join(root, "build-version")).trim();
  const headers = includeDirs
    .flatMap((folder) => [join(folder, "torch/headeronly/version.h"), join(folder, "torch/version.h")])
    .map((file) => /#define TORCH_VERSION\s*\\?\s*"([^"]+)"/.exec(readText(file))?.[1]);
  return declared ?? (built || headers.find((version) => version) || "unknown");
}

/**
 * Which form of std::string the library was built with. Current builds no longer say it in their CMake file;
 * then a symbol every libc10 exports tells.
 *
 * @param {string} config text of TorchConfig.cmake
 * @param {string} libDir
 */
function readCxx11Abi(config, libDir) {
  const declared = /_GLIBCXX_USE_CXX11_ABI=([01])/.exec(config)?.[1];
  if (declared) return declared === "1";
  return readFileSync(join(libDir, "libc10.so")).includes("_ZN3c105ErrorC1ENS_14SourceLocationENSt7__cxx11");
}

/** @param {string} libDir */
function findTorchConfig(libDir) {
  const places = ["cmake/Torch", "../share/cmake/Torch"].map((place) =>
    join(libDir, place, "TorchConfig.cmake"),
  );
  return places.find((file) => existsSync(file)) ?? "";
}

/**
 * CUDA's own headers: PyTorch from pip brings them in packages beside it; else a toolkit on the machine. Newer packages
 * leave out `crt`, which cuda_runtime_api.h includes at once; then the toolkit's are taken.
 *
 * @param {string} root
 * @param {string[]} [toolkits]
 */
export function findCudaInclude(root, toolkits = cudaToolkits()) {
  const packages = join(root, "../nvidia");
  const beside = existsSync(packages) ? readdirSync(packages).map((name) => join(packages, name)) : [];
  const needed = ["cuda_runtime_api.h", "crt/host_defines.h"];
  const folders = [...beside, ...toolkits].map((folder) => join(folder, "include"));
  return folders.find((folder) => needed.every((header) => existsSync(join(folder, header)))) ?? null;
}

function cudaToolkits() {
  const named = [process.env.CUDA_HOME, process.env.CUDA_PATH].filter((folder) => folder !== undefined);
  return [...named, "/usr/local/cuda", "/usr"];
}

/** @param {string} file */
function readText(file) {
  return file !== "" && existsSync(file) ? readFileSync(file, "utf8") : "";
}
