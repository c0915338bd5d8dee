/**
 * Builds the C++ side of the benchmarks against the libtorch that the addon was built with.
 */
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cmakeSettings } from "../setup/addon.mjs";
import { findLibtorch } from "../setup/find-libtorch.mjs";

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * The program's path.
 *
 * @param {{ textLength: number }} options
 */
export function buildCppSide(options) {
  const { found: libtorch } = findLibtorch();
  if (!libtorch) throw new Error("no libtorch found: run `npm run setup`");
  const build = here("../../packages/torch/build/bench");
  // What CMake found in another libtorch must not be taken for this one's.
  rmSync(`${build}/CMakeCache.txt`, { force: true });
  const settings = [...cmakeSettings(libtorch, ""), `-DTEXT_LENGTH=${options.textLength}`];
  execFileSync("cmake", ["-S", here("native"), "-B", build, ...settings], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  execFileSync("cmake", ["--build", build], { stdio: ["ignore", "ignore", "inherit"] });
  return `${build}/ltx_bench`;
}
