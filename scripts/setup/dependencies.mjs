/** The npm packages: installed as package-lock.json says, and again only when it says something else. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.mjs";

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
      return !here || here.version !== entry.version || !existsSync(join(root, place));
    })
    .map(([place]) => place.slice("node_modules/".length));
}

/** @param {string} root */
export async function installDependencies(root) {
  await run("npm", ["ci", "--no-fund", "--no-audit", "--loglevel=error"], { cwd: root });
}

/**
 * @param {string} file
 * @returns {Lock}
 */
function readLock(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { packages: {} };
}
