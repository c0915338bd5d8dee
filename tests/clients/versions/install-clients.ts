/** Installs many versions of fal's clients side by side in a folder of the test's own. Nothing of it is a dependency. */
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JsClient, PythonClient } from "./versions.ts";

/** Where a version is, or why none could be installed. */
export type Installed<Client> =
  | { readonly pathOf: (client: Client) => string }
  | { readonly missing: string };

const aliasOf = ({ name, version }: JsClient) => `${name.replace("@fal-ai/", "")}-${version}`;

export async function installJsClients(folder: string, clients: readonly JsClient[]) {
  const aliases = clients.map((client) => [aliasOf(client), `npm:${client.name}@${client.version}`]);
  // serverless-client until 0.8.6 uses tslib without naming it.
  const dependencies = { ...Object.fromEntries(aliases), tslib: "*" };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, dependencies }));
  const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"];
  const failed = await run("npm", ["install", ...quiet, "--prefer-offline", "--fetch-retries=0"], folder);
  const pathOf = (client: JsClient) => join(folder, "node_modules", aliasOf(client));
  return installed(pathOf, failed);
}

/** Each version without its dependencies, beside one environment that has those of the newest. */
export async function installPythonClients(folder: string, clients: readonly PythonClient[]) {
  mkdirSync(folder, { recursive: true });
  const python = join(folder, "environment/bin/python");
  const pathOf = ({ version }: PythonClient) => join(folder, version);
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "0"];
  const made =
    (await run("python3", ["-m", "venv", "environment"], folder)) ??
    (await run(python, [...pip, `fal_client==${clients[0]?.version}`], folder));
  if (made !== undefined) return { python, ...installed(pathOf, made) };
  for (const client of clients) {
    const target = ["--no-deps", "--target", pathOf(client), `fal_client==${client.version}`];
    const failed = await run(python, [...pip, ...target], folder);
    if (failed !== undefined) return { python, ...installed(pathOf, failed) };
  }
  return { python, ...installed(pathOf, undefined) };
}

function installed<Client>(
  pathOf: (client: Client) => string,
  failed: string | undefined,
): Installed<Client> {
  return failed === undefined ? { pathOf } : { missing: failed };
}

/** What went wrong, or undefined. */
function run(program: string, args: readonly string[], cwd: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(program, args, { cwd, timeout: 180_000 }, (error, _stdout, stderr) => {
      if (error === null) return resolve(undefined);
      const reason = stderr.trim().split("\n").at(-1) || error.message;
      resolve(`${program} could not install the clients: ${reason}`);
    });
  });
}
