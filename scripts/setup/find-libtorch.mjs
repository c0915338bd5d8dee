/**
 * Finds the libtorch to build against and reports where it looked.
 *
 * Order: the folder named in LIBTORCH; the PyTorch of `python3`; the system package; an archive that the set-up
 * downloaded earlier. If LIBTORCH is set and wrong, nothing else is tried.
 *
 *   node scripts/setup/find-libtorch.mjs --json      { "found": {...} | null, "tried": [{ "place", "outcome" }] }
 */
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { archiveFolder } from "./archive.mjs";
import { inspectLibtorch, libtorchFolders } from "./inspect-libtorch.mjs";
import { output } from "./run.mjs";

/**
 * @typedef {import("./inspect-libtorch.mjs").Libtorch} Libtorch
 * @typedef {import("./inspect-libtorch.mjs").LibtorchKind} LibtorchKind
 * @typedef {{ place: string, outcome: string }} Attempt
 * @typedef {{ found: Libtorch | null, tried: Attempt[] }} Search
 */

/**
 * @param {{ env?: NodeJS.ProcessEnv, python?: string, systemRoots?: string[], archive?: string }} [options]
 *   the places to look in, for tests
 * @returns {Search}
 */
export function findLibtorch(options = {}) {
  const { env = process.env, python = "python3", systemRoots = ["/usr", "/usr/local"] } = options;
  /** @type {Attempt[]} */
  const tried = [];

  /**
   * @param {LibtorchKind} kind
   * @param {string} place
   * @param {string} root
   */
  const look = (kind, place, root) => {
    const folders = libtorchFolders(root);
    if (typeof folders === "string") {
      tried.push({ place, outcome: folders });
      return null;
    }
    const found = inspectLibtorch(kind, folders);
    tried.push({ place, outcome: `found ${found.version} in ${found.root}` });
    return found;
  };

  if (env.LIBTORCH) {
    return { found: look("environment", `LIBTORCH=${env.LIBTORCH}`, torchRoot(env.LIBTORCH)), tried };
  }
  tried.push({ place: "LIBTORCH", outcome: "not set" });

  const pytorch = pythonTorch(python);
  if (!pytorch) tried.push({ place: `PyTorch of ${python}`, outcome: "not installed" });
  const found =
    (pytorch && look("pytorch", `PyTorch of ${python}`, pytorch)) ||
    systemRoots.reduce(
      (/** @type {Libtorch | null} */ done, root) =>
        done ?? look("system", `system package in ${root}`, root),
      null,
    ) ||
    look("archive", "downloaded archive", options.archive ?? archiveFolder());
  return { found, tried };
}

/**
 * The folder with `lib` and `include`: people also name a virtual environment that has PyTorch in it.
 *
 * @param {string} named
 */
function torchRoot(named) {
  const root = resolve(named);
  const lib = join(root, "lib");
  const pythons = existsSync(lib) ? readdirSync(lib).filter((name) => name.startsWith("python3")) : [];
  const inside = pythons
    .map((name) => join(lib, name, "site-packages/torch"))
    .find((folder) => existsSync(folder));
  return inside ?? root;
}

/**
 * Where Python keeps PyTorch. Asked without importing it: the import takes seconds.
 *
 * @param {string} python
 */
function pythonTorch(python) {
  const program =
    "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')";
  const folder = output(python, ["-c", program])?.trim();
  return folder ? folder : null;
}

/** @param {Search} search */
function describe({ found, tried }) {
  const lines = tried.map(({ place, outcome }) => `  ${place}: ${outcome}`);
  if (!found) return ["no libtorch found", ...lines].join("\n");
  const blas = found.blasFile ? `${found.blas} (${found.blasFile})` : found.blas;
  return [
    `libtorch ${found.version} (${found.kind})`,
    `  folder ${found.root}`,
    `  CUDA   ${found.cuda ? "yes" : "no"}`,
    `  BLAS   ${blas}`,
    "looked in",
    ...lines,
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const search = findLibtorch();
  console.log(process.argv.includes("--json") ? JSON.stringify(search) : describe(search));
  process.exitCode = search.found ? 0 : 1;
}
