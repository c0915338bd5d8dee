/**
 * Writes trained parameters as a component of the model folder, in the layout diffusers and transformers read.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Vae } from "@ltx-trainer/ltx";
import { cat, type DType, noGrad, scope, type Tensor, writeSafetensors } from "@ltx-trainer/torch";

/** Writes parameters to a safetensors file in a half type. */
export function exportWeights(path: string, parameters: ReadonlyMap<string, Tensor>, dtype: DType): number {
  return noGrad(() =>
    scope(() => {
      const tensors = new Map(
        [...parameters].map(([name, tensor]) => [name, tensor.detach().to(dtype)] as const),
      );
      mkdirSync(join(path, ".."), { recursive: true });
      writeSafetensors(path, tensors, { format: "pt" });
      return [...tensors.values()].reduce((sum, tensor) => sum + tensor.numel, 0);
    }),
  );
}

/**
 * Sets the VAE's latent statistics: mean and deviation of every channel over the given clips, so that the transformer
 * sees latents of unit scale.
 */
export function measureLatents(vae: Vae, clips: Iterable<Tensor>): void {
  noGrad(() =>
    scope(() => {
      const rows: Tensor[] = [];
      for (const pixels_BCfhw of clips) {
        const { mean_BCFHW } = vae.encode(pixels_BCfhw);
        rows.push(mean_BCFHW.transpose(0, 1).flatten(1));
      }
      const values_CN = cat(rows, 1);
      vae.latentsMean_C.copy_(values_CN.mean(1));
      vae.latentsStd_C.copy_(values_CN.std(1));
    }),
  );
}
