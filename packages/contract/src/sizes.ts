/** Names of sizes. What they are in pixels depends on the base model (`ltx/src/ltxv/sizes.ts`). */

export const resolutions = ["low", "medium", "high"] as const;

export const aspectRatios = ["16:9", "1:1", "9:16"] as const;

/** Pixels. */
export type Size = { readonly width: number; readonly height: number };
