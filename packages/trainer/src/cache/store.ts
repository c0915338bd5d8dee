/**
 * Tensors on disk by the hash of what they were made from, shared by all jobs: the same clip, caption and base model
 * are encoded once.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { keep, SafetensorsFile, type Tensor, writeSafetensors } from "@ltx-trainer/torch";

export type CacheKind = "latents" | "captions";

export class CacheStore {
  private readonly root: string;

  /** @param root folder of the cache; made when first written to */
  constructor(root: string) {
    this.root = root;
  }

  /** The name under which something made from `parts` is kept. */
  static key(...parts: readonly (string | number | boolean)[]): string {
    return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
  }

  has(kind: CacheKind, key: string): boolean {
    return existsSync(this.path(kind, key));
  }

  /** Written beside and renamed, so that two jobs may fill the same place. */
  write(kind: CacheKind, key: string, tensors: Readonly<Record<string, Tensor>>): void {
    const path = this.path(kind, key);
    mkdirSync(dirname(path), { recursive: true });
    writeSafetensors(path, tensors);
  }

  /** Kept views of the mapped file: pages are read when first used and dropped by the system under pressure. */
  read<Name extends string>(kind: CacheKind, key: string, names: readonly Name[]): Record<Name, Tensor> {
    const file = SafetensorsFile.open(this.path(kind, key));
    const tensors = {} as Record<Name, Tensor>;
    for (const name of names) tensors[name] = keep(file.tensor(name));
    file.close();
    return tensors;
  }

  private path(kind: CacheKind, key: string): string {
    return join(this.root, kind, key.slice(0, 2), `${key}.safetensors`);
  }
}
