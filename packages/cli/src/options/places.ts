/** Where the things that only the command line looks at are, and how it names what it makes. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { packagesFolder, repositoryFolder } from "@ltx-trainer/host";

export const trainerFolder = join(packagesFolder, "trainer");
export const torchAddon = join(packagesFolder, "torch/build/ltx_torch.node");
export const torchBuildInfo = join(packagesFolder, "torch/build/build-info.json");
export const findLibtorchScript = join(repositoryFolder, "scripts/setup/find-libtorch.mjs");

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

/** `video.mp4` in a folder, or the first of `video-2.mp4`, `video-3.mp4`, ... that is not taken. */
export function freeName(folder: string, stem: string, extension: string): string {
  for (let count = 1; ; count++) {
    const path = join(folder, `${stem}${count === 1 ? "" : `-${count}`}${extension}`);
    if (!existsSync(path)) return path;
  }
}
