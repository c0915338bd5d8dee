/**
 * Writes trained parameters as a component of the model folder, in the layout that diffusers and transformers read.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Vae } from "@ltx-trainer/ltx";
import {
  cat,
  type DType,
  noGrad,
  type Parameters,
  SafetensorsFile,
  scope,
  type Tensor,
  writeSafetensors,
} from "@ltx-trainer/torch";

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

/** Fills parameters from a file: exported weights, or a checkpoint whose names begin with `prefix`. */
export function readWeights(parameters: Parameters, path: string, prefix = ""): void {
  const file = SafetensorsFile.open(path);
  noGrad(() => {
    for (const [name, parameter] of parameters.all)
      scope(() => void parameter.copy_(file.tensor(prefix + name)));
  });
  file.close();
}

/**
 * Brings every latent channel to unit deviation, without a change to what the VAE does: what the encoder's last layer
 * is divided by, the decoder's first is multiplied by. Decode noise so means the same whatever scale was learnt.
 */
export function scaleLatents(vae: Vae): void {
  const weight = (name: string): Tensor => vae.parameters.all.get(name)!;
  noGrad(() =>
    scope(() => {
      const C = vae.config.latentChannels;
      const std_C = vae.latentsStd_C.clone();
      weight("encoder.conv_out.conv.weight")
        .narrow(0, 0, C)
        .div_(std_C.reshape([C, 1, 1, 1, 1]));
      weight("encoder.conv_out.conv.bias").narrow(0, 0, C).div_(std_C);
      weight("encoder.conv_out.conv.bias").narrow(0, C, 1).sub_(std_C.log().mean().mul(2));
      weight("decoder.conv_in.conv.weight").mul_(std_C.reshape([1, C, 1, 1, 1]));
      vae.latentsMean_C.div_(std_C);
      vae.latentsStd_C.fill_(1);
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
