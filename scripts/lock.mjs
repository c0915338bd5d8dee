/**
 * Completes package-lock.json with the optional platform packages that the registry in use did not serve.
 *
 * A registry mirror may hold only the Linux builds of a tool. `npm install` then leaves the other platforms
 * out of the lock file, and `npm ci` then rejects the lock file. This script adds the entries that npm would
 * have written with a complete registry, without checksums. `npm run lock` runs it; do so after every change of a
 * dependency.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * @typedef {{ version?: string, os?: string[], cpu?: string[], libc?: string[], dev?: boolean,
 *   optional?: boolean, optionalDependencies?: Record<string, string> }} LockEntry
 * @typedef {{ packages: Record<string, LockEntry> }} Lock
 */

const systems = [
  "aix",
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32",
];
const processors = [
  "arm",
  "arm64",
  "ia32",
  "loong64",
  "mips64el",
  "ppc64",
  "riscv64",
  "s390x",
  "wasm32",
  "x64",
];
const exactVersion = /^\d+\.\d+\.\d+(-[\w.]+)?$/;

/**
 * The platform a package is for, read from its name: `@biomejs/cli-linux-arm64-musl` is linux, arm64, musl.
 *
 * @param {string} name
 * @returns {Pick<LockEntry, "os" | "cpu" | "libc">}
 */
export function platformOf(name) {
  const words = name.split(/[-/]/);
  const os = systems.find((system) => words.includes(system));
  const cpu = processors.find((processor) => words.includes(processor));
  const musl = words.some((word) => word.startsWith("musl"));
  const glibc = words.some((word) => word.startsWith("gnu"));
  return {
    ...(cpu ? { cpu: [cpu] } : {}),
    ...(musl ? { libc: ["musl"] } : glibc ? { libc: ["glibc"] } : {}),
    ...(os ? { os: [os] } : {}),
  };
}

/**
 * The entries a lock file lacks, by their place in it.
 *
 * @param {Lock} lock
 * @returns {Record<string, LockEntry>}
 */
export function missingEntries(lock) {
  /** @type {Record<string, LockEntry>} */
  const missing = {};
  for (const [place, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      const hoisted = `node_modules/${name}`;
      if (!exactVersion.test(version) || lock.packages[hoisted] || lock.packages[`${place}/${hoisted}`])
        continue;
      missing[hoisted] = {
        version,
        ...platformOf(name),
        ...(entry.dev ? { dev: true } : {}),
        optional: true,
      };
    }
  }
  return missing;
}

function main() {
  const file = fileURLToPath(new URL("../package-lock.json", import.meta.url));
  const lock = /** @type {Lock} */ (JSON.parse(readFileSync(file, "utf8")));
  const missing = missingEntries(lock);
  const names = Object.keys(missing);
  if (names.length > 0) {
    const all = Object.entries({ ...lock.packages, ...missing });
    lock.packages = Object.fromEntries(all.sort(([a], [b]) => a.localeCompare(b, "en")));
    writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
  }
  console.log(
    `lock: ${names.length} platform packages added${names.length > 0 ? `: ${names.join(", ")}` : ""}`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
