/** Import cycles: two files that need each other cannot be read, tested or moved apart. */
import { posix } from "node:path";

/** @typedef {import("./source-file.mjs").SourceFile} SourceFile */

/**
 * Every group of files that can reach each other through their imports, as one closed walk each.
 * Type imports count; `import("...")` does not, for it is there to break a cycle.
 *
 * @param {SourceFile[]} files
 * @returns {string[][]}
 */
export function findCycles(files) {
  const known = new Set(files.map((file) => file.path));
  /** @type {Map<string, string[]>} */
  const graph = new Map();
  for (const file of files) {
    const targets = file.imports
      .filter(({ request, dynamic }) => request.startsWith(".") && !dynamic)
      .map(({ request }) => posix.join(posix.dirname(file.path), request))
      .filter((target) => known.has(target));
    graph.set(file.path, targets);
  }
  /** @type {Set<string>} */
  const settled = new Set();
  /** @type {string[][]} */
  const cycles = [];
  for (const start of graph.keys()) {
    if (settled.has(start)) continue;
    const cycle = cycleFrom(start, graph, settled);
    if (cycle) cycles.push(cycle);
  }
  return cycles;
}

/**
 * Depth-first search from one file; the first way back to a file still on the path is the answer.
 *
 * @param {string} start
 * @param {Map<string, string[]>} graph
 * @param {Set<string>} settled files known to lead to no further cycle; added to
 * @returns {string[] | undefined}
 */
function cycleFrom(start, graph, settled) {
  /** @type {{ path: string, next: number }[]} */
  const trail = [{ path: start, next: 0 }];
  /** @type {string[] | undefined} */
  let cycle;
  for (let here = trail.at(-1); here; here = trail.at(-1)) {
    const target = graph.get(here.path)?.[here.next++];
    if (target === undefined) {
      settled.add(here.path);
      trail.pop();
      continue;
    }
    const seen = trail.findIndex((place) => place.path === target);
    if (seen >= 0) cycle ??= [...trail.slice(seen).map((place) => place.path), target];
    else if (!settled.has(target)) trail.push({ path: target, next: 0 });
  }
  return cycle;
}
