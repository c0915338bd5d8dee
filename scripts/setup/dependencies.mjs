/** Installs the npm packages from package-lock.json; does nothing when they match it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run, SetupError } from "./run.mjs";

/**
 * @typedef {{ version?: string, optional?: boolean, link?: boolean }} LockEntry
 * @typedef {{ packages: Record<string, LockEntry> }} Lock
 */

/**
 * The packages of the lock file that are not installed in the version it names. Platform packages are left
 * out: only one of each set belongs on this machine, and it comes with its parent.
 *
 * @param {string} root the repository
 * @returns {string[]}
 */
export function missingDependencies(root) {
  const wanted = readLock(join(root, "package-lock.json"));
  const installed = readLock(join(root, "node_modules/.package-lock.json"));
  return Object.entries(wanted.packages)
    .filter(([place, entry]) => place.startsWith("node_modules/") && !entry.optional)
    .filter(([place, entry]) => {
      const here = installed.packages[place];
      return !here || here.version !== entry.version || !existsSync(join(root, place, "package.json"));
    })
    .map(([place]) => place.slice("node_modules/".length));
}

/**
 * Installs what the lock file names, nothing else, and looks whether it is there: some versions of npm end
 * with success although the network failed.
 *
 * @param {string} root
 * @param {{ npm?: string }} [options] npm: another program to install with, for tests
 * @throws {SetupError} when packages are still missing afterwards
 */
export async function installDependencies(root, { npm = "npm" } = {}) {
  const said = await run(npm, ["ci", "--no-fund", "--no-audit", "--loglevel=error"], { cwd: root });
  const missing = missingDependencies(root);
  if (missing.length === 0) return;
  throw new SetupError(
    `npm packages: \`npm ci\` ended without an error, but ${missing.length} packages are missing, such as ${missing[0]}.\n` +
      `${said.trim()}\nIs the package registry reachable (\`npm ping\`)? Then run this again.`,
  );
}

/**
 * @param {string} file
 * @returns {Lock}
 */
function readLock(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { packages: {} };
}
