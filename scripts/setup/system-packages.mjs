/**
 * System packages that the build needs, and their installation on Debian and its derivatives.
 *
 * Only missing packages are installed. Without permission to install, the exact command is printed instead.
 */
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { output, run, SetupError } from "./run.mjs";

/**
 * @typedef {import("./inspect-libtorch.mjs").Libtorch} Libtorch
 * @typedef {import("./steps.mjs").Progress} Progress
 * @typedef {{ tools: string[], libraries: string[] }} Missing names of Debian packages
 */

/** Debian's name for this processor. */
const triplet = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";

/** The tools without which nothing works, and the Debian package of each. */
const tools = [
  { package: "cmake", programs: ["cmake"], setting: undefined },
  { package: "make", programs: ["make"], setting: undefined },
  { package: "g++", programs: ["g++"], setting: "CXX" },
  { package: "ffmpeg", programs: ["ffmpeg", "ffprobe"], setting: "FFMPEG_PATH" },
];

/**
 * @param {Libtorch | null} libtorch the one found so far
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Missing}
 */
export function missingPackages(libtorch, env = process.env) {
  const absent = tools.filter((tool) => {
    const named = tool.setting === undefined ? undefined : env[tool.setting];
    return !named && !tool.programs.every((program) => findProgram(program, env));
  });
  const libraries = libtorch ? [] : ["libtorch-dev"];
  // Debian's libtorch is content with the reference BLAS, which is 20 times slower.
  const needsOpenBlas = !libtorch || (libtorch.blas === "reference" && !existsSync(openBlas("libblas.so.3")));
  if (needsOpenBlas) libraries.push("libopenblas0-pthread");
  return { tools: absent.map((tool) => tool.package), libraries };
}

/**
 * Installs what is missing with apt.
 *
 * @param {Missing} missing
 * @param {Progress} progress
 * @returns {Promise<string[]>} the packages installed; libraries are left out where only the archive can help
 * @throws {SetupError} when tools are missing and cannot be installed from here
 */
export async function installPackages({ tools, libraries }, progress) {
  const prefix = rootPrefix();
  if (!findProgram("apt-get") || !prefix) {
    if (tools.length === 0) return [];
    throw new SetupError(advice([...tools, ...libraries]));
  }
  progress("reading the package lists");
  await aptGet(prefix, ["update"], progress);
  const offered = libraries.filter(hasCandidate);
  const wanted = [...tools, ...offered];
  if (wanted.length === 0) return [];
  await aptGet(prefix, ["install", "-y", "--no-install-recommends", ...wanted], progress);
  return wanted;
}

/**
 * Makes OpenBLAS the system's BLAS and LAPACK where Debian's alternatives still point at the reference ones.
 *
 * @throws {SetupError} with the commands to run, when this user may not run them
 */
export async function preferOpenBlas() {
  const prefix = rootPrefix();
  for (const name of ["libblas.so.3", "liblapack.so.3"]) {
    const link = `${name}-${triplet}`;
    const chosen = /^Value: (.*)$/m.exec(output("update-alternatives", ["--query", link]) ?? "")?.[1] ?? "";
    if (/openblas|mkl|blis/.test(chosen)) continue;
    const target = openBlas(name);
    const args = ["--set", link, target];
    if (!prefix || !existsSync(target)) {
      throw new SetupError(
        `BLAS: got the reference implementation (${chosen || "unknown"}), expected OpenBLAS; ` +
          "training would be about 20 times slower. Run:\n" +
          "  sudo apt-get install -y libopenblas0-pthread\n" +
          `  sudo update-alternatives ${args.join(" ")}`,
      );
    }
    const [command, ...rest] = [...prefix, "update-alternatives", ...args];
    await run(command ?? "", rest);
  }
}

/**
 * Where Debian puts OpenBLAS's form of a library.
 *
 * @param {string} name
 */
function openBlas(name) {
  return `/usr/lib/${triplet}/openblas-pthread/${name}`;
}

/**
 * The full path of a program on PATH.
 *
 * @param {string} name
 * @param {NodeJS.ProcessEnv} [env]
 */
function findProgram(name, env = process.env) {
  const places = (env.PATH ?? "").split(delimiter).map((folder) => join(folder, name));
  return places.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** What to put before a command so that it runs as root; undefined when this user may not. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  return output("sudo", ["-n", "true"]) === undefined ? undefined : ["sudo", "-n"];
}

/** @param {string} name of a Debian package */
function hasCandidate(name) {
  const policy = output("apt-cache", ["policy", name]) ?? "";
  return /Candidate: (?!\(none\))/.test(policy);
}

/**
 * Runs apt-get and passes on its own account of how far it is.
 *
 * The account needs a descriptor of its own: apt closes the one it is given before it starts the packages'
 * scripts, and those that print fail without a standard output.
 *
 * @param {string[]} prefix
 * @param {string[]} args
 * @param {Progress} progress
 */
async function aptGet(prefix, args, progress) {
  const apt = 'DEBIAN_FRONTEND=noninteractive exec apt-get -q -o APT::Status-Fd=3 "$@" 3>&1';
  const [command, ...rest] = [...prefix, "sh", "-c", apt, "apt-get", ...args];
  await run(command ?? "", rest, {
    onLine: (line) => {
      const status = parseAptStatus(line);
      if (status) progress(status.text, status.fraction);
    },
  });
}

/**
 * Reads one of apt's status lines, `pmstatus:cmake:42.8571:Unpacking cmake`; downloads count as the first half.
 *
 * @param {string} line
 */
export function parseAptStatus(line) {
  const match = /^(dlstatus|pmstatus):([^:]*):([\d.]+):(.*)$/.exec(line);
  if (!match) return undefined;
  const fraction = Number(match[3]) / 200;
  return match[1] === "dlstatus"
    ? { text: "downloading packages", fraction }
    : { text: match[4] ?? "", fraction: 0.5 + fraction };
}

/** @param {string[]} packages */
function advice(packages) {
  if (findProgram("apt-get")) {
    return (
      `system packages: ${packages.join(", ")} missing, and this user may not install them. Run:\n` +
      `  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages.join(" ")}\n` +
      "then run this again."
    );
  }
  return (
    `system packages: ${packages.join(", ")} missing (Debian's names), and there is no apt-get here. ` +
    "Install their like with this system's package manager; for libtorch, `python3 -m pip install torch` will do. " +
    "Then run this again."
  );
}
