/**
 * Builds the C++ side of the benchmarks against the libtorch the addon was built with.
 */
import { execFileSync } from "node:child_process";
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
  const settings = [...cmakeSettings(libtorch, ""), `-DTEXT_LENGTH=${options.textLength}`];
  execFileSync("cmake", ["-S", here("native"), "-B", build, ...settings], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  execFileSync("cmake", ["--build", build], { stdio: ["ignore", "ignore", "inherit"] });
  return `${build}/ltx_bench`;
}
