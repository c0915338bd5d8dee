/**
 * `npm run setup`: installs and compiles everything on a machine that has Node. Fast when there is nothing to do.
 *
 * Plain JavaScript, because it runs before anything is installed or compiled.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { addonIsCurrent, buildAddon } from "./addon.mjs";
import { installArchive } from "./archive.mjs";
import { installDependencies, missingDependencies } from "./dependencies.mjs";
import { findLibtorch } from "./find-libtorch.mjs";
import { CommandError, run, SetupError } from "./run.mjs";
import { step } from "./steps.mjs";
import { installPackages, missingPackages, preferOpenBlas } from "./system-packages.mjs";

/**
 * @typedef {import("./inspect-libtorch.mjs").Libtorch} Libtorch
 * @typedef {import("./steps.mjs").Progress} Progress
 */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const sourceOf = {
  environment: "LIBTORCH",
  pytorch: "PyTorch",
  system: "the system package",
  archive: "the archive",
};

async function main() {
  checkMachine();
  const found = await step("system packages", prepareSystem);
  await step("npm packages", prepareDependencies);
  const libtorch = await step("libtorch", (progress) => prepareLibtorch(found, progress));
  await step("native addon", async (progress) => {
    if (addonIsCurrent(root, libtorch)) return { text: "up to date", value: undefined };
    await buildAddon(root, libtorch, progress);
    return { text: `built against libtorch ${libtorch.version}`, value: undefined };
  });
  await step("TypeScript", async () => {
    await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-b"], {
      cwd: root,
    });
    return { text: "compiled", value: undefined };
  });
}

/** @throws {SetupError} on a system or a Node this cannot work on */
function checkMachine() {
  if (process.platform !== "linux") {
    throw new SetupError(`set-up: got ${process.platform}, expected Linux (a container or WSL will do)`);
  }
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new SetupError(`set-up: got Node ${process.versions.node}, expected 20.19 or newer`);
  }
}

/**
 * Puts the missing tools and, where there is none, a libtorch on the machine.
 *
 * @param {Progress} progress
 * @returns {Promise<{ text: string, value: Libtorch | null }>} the libtorch there is now
 */
async function prepareSystem(progress) {
  const { found, tried } = findLibtorch();
  if (!found && process.env.LIBTORCH)
    throw new SetupError(`libtorch: ${tried[0]?.place}: ${tried[0]?.outcome}`);
  const missing = missingPackages(found);
  if (missing.tools.length + missing.libraries.length === 0) return { text: "present", value: found };
  const installed = await installPackages(missing, progress);
  const text =
    installed.length > 0 ? `installed ${installed.join(", ")}` : "tools present, no libtorch package";
  return { text, value: findLibtorch().found };
}

/** @param {Progress} progress */
async function prepareDependencies(progress) {
  const missing = missingDependencies(root);
  if (missing.length === 0) return { text: "up to date", value: undefined };
  progress(`installing ${missing.length} packages`);
  await installDependencies(root);
  return { text: "installed", value: undefined };
}

/**
 * The libtorch to build against: the one found, else the archive; never with the reference BLAS.
 *
 * @param {Libtorch | null} found
 * @param {Progress} progress
 * @returns {Promise<{ text: string, value: Libtorch }>}
 */
async function prepareLibtorch(found, progress) {
  if (!found) await installArchive(progress);
  let libtorch = found ?? requireLibtorch();
  if (libtorch.blas === "reference") {
    await preferOpenBlas();
    libtorch = requireLibtorch();
  }
  if (libtorch.missing.length > 0) {
    throw new SetupError(
      `libtorch: the one in ${libtorch.root} needs ${libtorch.missing.join(", ")}, which the loader does not find. ` +
        "Install it again, or name another in LIBTORCH.",
    );
  }
  const gpu = existsSync("/proc/driver/nvidia/version");
  const hint =
    gpu && !libtorch.cuda ? "; for the NVIDIA GPU here: python3 -m pip install torch, then this again" : "";
  const cuda = libtorch.cuda ? "with CUDA" : "no CUDA";
  const text = `${libtorch.version} from ${sourceOf[libtorch.kind]}, ${cuda}, BLAS ${libtorch.blas}${hint}`;
  return { text, value: libtorch };
}

function requireLibtorch() {
  const { found, tried } = findLibtorch();
  if (found) return found;
  const places = tried.map(({ place, outcome }) => `  ${place}: ${outcome}`).join("\n");
  throw new SetupError(`libtorch: not found\n${places}\nName its folder in LIBTORCH and run this again.`);
}

try {
  await main();
} catch (error) {
  const planned = error instanceof SetupError || error instanceof CommandError;
  console.error(
    `\nset-up stopped. ${planned ? error.message : error instanceof Error ? error.stack : error}`,
  );
  process.exitCode = 1;
}
