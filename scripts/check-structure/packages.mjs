/**
 * The dependency rule: which of our packages may use which, in import statements and in package.json alike.
 *
 *   trainer -> ltx -> torch      contract <- all but ltx and torch      host <- trainer, server, cli
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join, posix } from "node:path";

/**
 * @typedef {import("./source-file.mjs").SourceFile} SourceFile
 * @typedef {import("./source-file.mjs").Import} Import
 * @typedef {import("./rules.mjs").Violation} Violation
 * @typedef {{ name: string, folder: string, dependencies: Set<string>, development: Set<string>, lost: string[] }} Package
 * @typedef {{ uses: string[], node: boolean, world: boolean }} Permission
 *   uses: our packages it may import; node: may it use Node; world: may it read the environment and clocks
 */

const scope = "@ltx-trainer/";

/** @type {Record<string, Permission>} */
const permissions = {
  contract: { uses: [], node: false, world: false },
  torch: { uses: [], node: true, world: true },
  ltx: { uses: ["torch"], node: true, world: false },
  trainer: { uses: ["contract", "host", "ltx", "torch"], node: true, world: true },
  host: { uses: ["contract"], node: true, world: true },
  server: { uses: ["contract", "host"], node: true, world: true },
  cli: { uses: ["contract", "host"], node: true, world: true },
};

/**
 * Modules that a package exports beside its index: for threads, which should load as little as possible.
 *
 * @type {Record<string, string[]>}
 */
const parts = { host: ["data-uri"] };

/**
 * @param {string} root
 * @returns {Package[]}
 */
export function readPackages(root) {
  const folder = join(root, "packages");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names
    .filter((name) => existsSync(join(folder, name, "package.json")))
    .map((name) => {
      const manifest = JSON.parse(readFileSync(join(folder, name, "package.json"), "utf8"));
      return {
        name,
        folder: `packages/${name}`,
        dependencies: new Set(Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })),
        development: new Set(Object.keys(manifest.devDependencies ?? {})),
        lost: sourcesOf(manifest.exports).filter((path) => !existsSync(join(folder, name, path))),
      };
    });
}

/**
 * The files that package.json's `exports` name under the condition "source".
 *
 * @param {unknown} exported
 * @returns {string[]}
 */
function sourcesOf(exported) {
  if (typeof exported !== "object" || exported === null) return [];
  return Object.entries(exported).flatMap(([key, value]) =>
    key === "source" && typeof value === "string" ? [value] : sourcesOf(value),
  );
}

/**
 * What package.json itself names too much: packages of ours that the rule forbids, any that no source imports, and
 * exports that are not there.
 *
 * @param {Package} owner
 * @param {SourceFile[]} files of the package
 * @returns {Violation[]}
 */
export function checkManifest(owner, files) {
  const path = `${owner.folder}/package.json`;
  const permission = permissions[owner.name];
  if (!permission) {
    return [
      {
        path,
        line: 1,
        message: `package ${owner.name} has no place in the dependency rule yet; give it one`,
      },
    ];
  }
  const imported = new Set(files.flatMap((file) => file.imports.map(({ request }) => packageName(request))));
  const lost = owner.lost.map((file) => ({
    path,
    line: 1,
    message: `exports ${file}, which does not exist`,
  }));
  const needless = [...owner.dependencies].flatMap((name) => {
    const forbidden = name.startsWith(scope) && !permission.uses.includes(name.slice(scope.length));
    if (forbidden) {
      return [{ path, line: 1, message: `depends on ${name}; ${owner.name} may use ${listed(permission)}` }];
    }
    return imported.has(name)
      ? []
      : [{ path, line: 1, message: `depends on ${name}, which no source imports` }];
  });
  return [...lost, ...needless];
}

/**
 * What a file of a package imports or reads and may not.
 *
 * @param {SourceFile} file
 * @param {Package} owner
 * @param {Set<string>} shared packages that every test may import, from the root package.json
 * @returns {Violation[]}
 */
export function checkImports(file, owner, shared) {
  const permission = permissions[owner.name];
  if (!permission) return [];
  const isTest = /\.test\.tsx?$/.test(file.path) || file.path.includes("/testing/");
  const wrong = file.imports.flatMap((item) => {
    const message = refusal(item.request, file, owner, permission, isTest ? shared : undefined);
    return message ? [{ path: file.path, line: item.line, message }] : [];
  });
  if (permission.world || isTest) return wrong;
  const world = file.readsWorld.map(({ request, line }) => ({
    path: file.path,
    line,
    message: `reads ${request}; ${owner.name} must give the same answer to the same input`,
  }));
  return [...wrong, ...world];
}

/**
 * @param {string} request
 * @param {SourceFile} file
 * @param {Package} owner
 * @param {Permission} permission
 * @param {Set<string> | undefined} shared set for a test
 * @returns {string | undefined}
 */
function refusal(request, file, owner, permission, shared) {
  if (request.startsWith(".")) {
    const target = posix.join(posix.dirname(file.path), request);
    return target.startsWith(`${owner.folder}/`)
      ? undefined
      : `imports ${request}, which lies outside ${owner.folder}`;
  }
  if (request.startsWith("node:") || builtinModules.includes(request)) {
    return permission.node || shared ? undefined : `imports ${request}; ${owner.name} must run without Node`;
  }
  if (request.startsWith(scope)) {
    const [name = "", ...rest] = request.slice(scope.length).split("/");
    if (!permission.uses.includes(name))
      return `imports ${request}; ${owner.name} may use ${listed(permission)}`;
    const isExported = parts[name]?.includes(rest.join("/")) === true;
    if (rest.length > 0 && !isExported) return `imports ${request}; use what ${scope}${name} exports`;
  }
  const name = packageName(request);
  if (owner.dependencies.has(name)) return undefined;
  if (shared && (shared.has(name) || owner.development.has(name))) return undefined;
  return `imports ${name}, which is not in the dependencies of ${owner.folder}/package.json`;
}

/**
 * `@scope/name` of `@scope/name/deep`.
 *
 * @param {string} request
 */
function packageName(request) {
  return request
    .split("/")
    .slice(0, request.startsWith("@") ? 2 : 1)
    .join("/");
}

/** @param {Permission} permission */
function listed(permission) {
  return permission.uses.length > 0 ? `only ${permission.uses.join(", ")} of ours` : "none of our packages";
}
