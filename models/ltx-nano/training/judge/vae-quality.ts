/**
 * Reconstruction quality of a VAE on unseen clips: PSNR with the stored half-precision weights, decoded like previews.
 */
import type { Vae } from "@ltx-trainer/ltx";
import { Generator, noGrad, scope } from "@ltx-trainer/torch";
import { type Clip, drawClip, type Effect } from "../clips/draw.ts";
import type { Random } from "../clips/random.ts";
import { type ClipFormat, sampleScene } from "../clips/scene.ts";
import { toClips, toPixels } from "../learning/batches.ts";
import { streamOf } from "../learning/curriculum.ts";
import { psnr } from "../learning/vae-objective.ts";

export type Reconstruction = { readonly clip: Clip; readonly decoded: Clip; readonly psnr: number };

/** One unseen clip of each format, `rounds` times. `ornament` may draw an effect for a clip by lot. */
export function reconstructUnseen(
  vae: Vae,
  formats: readonly ClipFormat[],
  rounds: number,
  ornament: (random: Random) => Effect | undefined = () => undefined,
): Reconstruction[] {
  return Array.from({ length: rounds * formats.length }, (_, index) => {
    const format = formats[index % formats.length]!;
    const random = streamOf(5, "exam", index);
    const scene = sampleScene(random, format);
    return reconstruct(vae, drawClip(scene, format, ornament(random)), index);
  });
}

/** @param seed of the decoder's noise */
function reconstruct(vae: Vae, clip: Clip, seed: number): Reconstruction {
  return noGrad(() =>
    scope(() => {
      const pixels_BCfhw = toPixels([clip]);
      const latents_BCFHW = vae.mode(vae.encode(pixels_BCfhw));
      const decoded_BCfhw = vae.decode(latents_BCFHW, { timestep: 0.05, generator: new Generator(seed) });
      const [ratio] = psnr(decoded_BCfhw, pixels_BCfhw);
      return { clip, decoded: toClips(decoded_BCfhw, clip.format)[0]!, psnr: ratio! };
    }),
  );
}
