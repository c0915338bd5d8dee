/** What a video is sampled from besides its prompt: a first frame, a reference video, or both, as latents. */
import type { BaseModel } from "@ltx-trainer/ltx";
import { keep } from "@ltx-trainer/torch";
import { encodePixels } from "../cache/encode.ts";
import { type Placement, releaseModel } from "../models/device.ts";
import type { VideoShape } from "../plan.ts";
import type { SourcePolicy } from "../source/policy.ts";
import { loadFirstFrame } from "./first-frame.ts";
import type { PreviewPrompt } from "./previews.ts";
import { loadReferenceVideo } from "./reference-video.ts";

/** Paths, addresses or data URIs. */
export type GivenSources = { readonly image: string | null; readonly reference: string | null };

export type GivenLatents = Pick<PreviewPrompt, "firstFrame_1C1HW" | "reference_1CFHW">;

type Setting = SourcePolicy & {
  readonly base: BaseModel;
  readonly placement: Placement;
  readonly shape: VideoShape;
  /** Whether a reference is shown whole, however long it is. */
  readonly autoScale: boolean;
  readonly signal?: AbortSignal;
  /** Where downloads are put until they are decoded. Default: the system's temporary folder. */
  readonly scratch?: string;
};

/**
 * Latents of everything given, in the order of `sources`; on the CPU, kept. The VAE is loaded only if there is something.
 *
 * @throws AppError when a file cannot be had or does not fit
 */
export async function encodeGiven(
  sources: readonly GivenSources[],
  setting: Setting,
): Promise<GivenLatents[]> {
  const { base, placement, shape } = setting;
  const temporalCompression = base.compression.temporal;
  const pixels: { readonly image: Uint8Array | null; readonly reference: Uint8Array | null }[] = [];
  for (const { image, reference } of sources) {
    pixels.push({
      image: image === null ? null : await loadFirstFrame(image, shape, setting),
      reference:
        reference === null
          ? null
          : await loadReferenceVideo(reference, shape, { ...setting, temporalCompression }),
    });
  }
  if (pixels.every(({ image, reference }) => !image && !reference)) return pixels.map(() => ({}));
  const vae = base.loadVae(placement);
  try {
    return pixels.map(({ image, reference }) => ({
      firstFrame_1C1HW: image ? keep(encodePixels(vae, image, { ...shape, frames: 1 })) : undefined,
      reference_1CFHW: reference ? keep(encodePixels(vae, reference, shape)) : undefined,
    }));
  } finally {
    releaseModel(vae.parameters);
  }
}
