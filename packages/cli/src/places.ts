/** Where things are on this machine: the trainer program, the repository around it, the user's data folder. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { AppError } from "@ltx-trainer/contract";

/** The same from `src` and from `dist`: both lie two folders below `packages`. */
const packagesFolder = fileURLToPath(new URL("../../", import.meta.url));

export const repositoryFolder = resolve(packagesFolder, "..");
export const trainerFolder = join(packagesFolder, "trainer");
export const torchAddon = join(packagesFolder, "torch/build/ltx_torch.node");
export const torchBuildInfo = join(packagesFolder, "torch/build/build-info.json");
export const findLibtorchScript = join(repositoryFolder, "scripts/setup/find-libtorch.mjs");

/**
 * The program that loads libtorch; `LTX_TRAINER_PROGRAM` names another one, for tests.
 *
 * @throws AppError `tool_missing` before the first build
 */
export function trainerProgram(): string {
  const path = process.env.LTX_TRAINER_PROGRAM ?? join(trainerFolder, "dist/main.js");
  if (existsSync(path)) return path;
  throw new AppError({
    code: "tool_missing",
    message: `${path}: the trainer is not built`,
    remedy: `Run \`npm run setup\` in ${repositoryFolder}.`,
    facts: { path },
  });
}

/** Absolute path of the data folder: the flag, else `LTX_TRAINER_HOME`, else `~/.ltx-trainer`. */
export function homeFolder(flag: string | undefined): string {
  return resolve(flag ?? process.env.LTX_TRAINER_HOME ?? join(homedir(), ".ltx-trainer"));
}

/** Whether a data source is an address of some kind instead of a path. */
export function isAddress(source: string): boolean {
  return /^(data:|[a-z][a-z0-9+.-]*:\/\/)/i.test(source);
}

/** `cakes-lora` in the current folder for `data/cakes.zip`: the same every time, so that `--resume` finds it. */
export function defaultOutput(source: string): string {
  const path = /^data:/i.test(source) ? "" : source.replace(/[?#].*$/, "").replace(/\/+$/, "");
  const name = basename(path).replace(/\.[a-z0-9]{1,5}$/i, "");
  return `${/^[\w.-]+$/.test(name) && !/^\.+$/.test(name) ? name : "my"}-lora`;
}
