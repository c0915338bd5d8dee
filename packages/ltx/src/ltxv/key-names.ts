/**
 * Names of transformer layers in Lightricks' code and in ComfyUI, and ours, which are diffusers'.
 *
 * Source: huggingface/diffusers@58eb52c, `scripts/convert_ltx_to_diffusers.py`.
 */
import type { KeyNames } from "../family.ts";

const transformerWords: readonly (readonly [original: string, ours: string])[] = [
  ["patchify_proj", "proj_in"],
  ["adaln_single", "time_embed"],
  ["q_norm", "norm_q"],
  ["k_norm", "norm_k"],
];

/** A transformer key of Lightricks' code under its diffusers name; names that agree pass through. */
export function transformerKeyFromOriginal(key: string): string {
  const words = new Map(transformerWords);
  return key
    .split(".")
    .map((part) => words.get(part) ?? part)
    .join(".");
}

/** The reverse: a diffusers name (or path of a layer) as Lightricks' code and ComfyUI spell it. */
export function originalTransformerKey(key: string): string {
  const words = new Map(transformerWords.map(([original, ours]) => [ours, original]));
  return key
    .split(".")
    .map((part) => words.get(part) ?? part)
    .join(".");
}

/** For LoRA files. */
export const ltxvKeyNames: KeyNames = {
  toOriginal: originalTransformerKey,
  fromOriginal: transformerKeyFromOriginal,
};
