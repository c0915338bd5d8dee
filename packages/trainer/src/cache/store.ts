/**
 * Tensors on disk by the hash of what they were made from, shared by all jobs: the same clip, caption and base model
 * are encoded once.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { keep, type Tensor, type TensorInfo, writeSafetensors } from "@ltx-trainer/torch";
import { DamagedFileError, type ExpectedTensors, openIntact } from "../files/tensor-file.ts";

export type CacheKind = "latents" | "captions";

export class CacheStore {
  readonly #root: string;

  /** @param root folder of the cache; made when first written to */
  constructor(root: string) {
    this.#root = root;
  }

  /** The name under which something made from `parts` is kept. */
  static key(...parts: readonly (string | number | boolean)[]): string {
    return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
  }

  /**
   * Whether an entry is there that holds what is expected. A damaged one is removed, so that it is made anew.
   *
   * @param onDamage called with the entry's name and what is wrong with it
   */
  has(
    kind: CacheKind,
    key: string,
    expected: ExpectedTensors,
    onDamage: (entry: string, reason: string) => void,
  ): boolean {
    const path = this.#path(kind, key);
    if (!existsSync(path)) return false;
    try {
      openIntact(path, expected).close();
      return true;
    } catch (error) {
      if (!(error instanceof DamagedFileError)) throw error;
      rmSync(path, { recursive: true, force: true });
      onDamage(`${kind}/${basename(path)}`, error.reason);
      return false;
    }
  }

  /** Written beside and renamed, so that two jobs may fill the same place. */
  write(kind: CacheKind, key: string, tensors: Readonly<Record<string, Tensor>>): void {
    const path = this.#path(kind, key);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeSafetensors(path, tensors);
    removeAbandoned(path);
  }

  /** Kept views of the mapped file: pages are read when first used and dropped by the system under pressure. */
  read<Name extends string>(
    kind: CacheKind,
    key: string,
    expected: ReadonlyMap<Name, TensorInfo>,
  ): Record<Name, Tensor> {
    const file = openIntact(this.#path(kind, key), expected);
    const tensors = {} as Record<Name, Tensor>;
    for (const name of expected.keys()) tensors[name] = keep(file.tensor(name));
    file.close();
    return tensors;
  }

  #path(kind: CacheKind, key: string): string {
    return join(this.#root, kind, key.slice(0, 2), `${key}.safetensors`);
  }
}

/** Longer than any entry takes to be written. */
const abandonedMs = 60 * 60_000;

/** Removes what killed processes left of the same entry; another job may be writing it at this moment. */
function removeAbandoned(path: string): void {
  const [folder, name] = [dirname(path), basename(path)];
  for (const other of readdirSync(folder)) {
    if (!other.startsWith(`${name}.`) || !/\.\d+\.tmp$/.test(other)) continue;
    const file = join(folder, other);
    const since = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY;
    if (Date.now() - since > abandonedMs) rmSync(file, { force: true });
  }
}
