/**
 * Translates names of transformer layers between Lightricks' code (used by ComfyUI) and diffusers (used here).
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

/** Renames a transformer key of Lightricks' code to its diffusers name. Other words stay unchanged. */
export function transformerKeyFromOriginal(key: string): string {
  const words = new Map(transformerWords);
  return key
    .split(".")
    .map((part) => words.get(part) ?? part)
    .join(".");
}

/** The inverse: renames a diffusers key, or the path of a layer, to the name in Lightricks' code and ComfyUI. */
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
