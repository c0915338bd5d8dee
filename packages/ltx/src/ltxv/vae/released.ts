/**
 * The VAE configurations of the released checkpoints, in the words of their `vae/config.json`.
 *
 * 0.9.6, 0.9.7 and 0.9.8 have the architecture of 0.9.5.
 * Source: huggingface/diffusers@58eb52c, `scripts/convert_ltx_to_diffusers.py`.
 */
import { ConfigFields } from "../../config-fields.ts";
import { parseVaeConfig, type VaeConfig } from "./config.ts";

const strided = {
  block_out_channels: [128, 256, 512, 512],
  down_block_types: Array(4).fill("LTXVideoDownBlock3D"),
  layers_per_block: [4, 3, 3, 3, 4],
  spatio_temporal_scaling: [true, true, true, false],
};

const folding = {
  block_out_channels: [128, 256, 512, 1024, 2048],
  down_block_types: Array(4).fill("LTXVideo095DownBlock3D"),
  layers_per_block: [4, 6, 6, 2, 2],
  spatio_temporal_scaling: [true, true, true, true],
  downsample_type: ["spatial", "temporal", "spatiotemporal", "spatiotemporal"],
  spatial_compression_ratio: 32,
  temporal_compression_ratio: 8,
};

const conditionedDecoder = {
  decoder_block_out_channels: [256, 512, 1024],
  decoder_spatio_temporal_scaling: [true, true, true],
  upsample_residual: [true, true, true],
  upsample_factor: [2, 2, 2],
  timestep_conditioning: true,
};

const configs = {
  "0.9.0": {
    ...strided,
    decoder_block_out_channels: [128, 256, 512, 512],
    decoder_layers_per_block: [4, 3, 3, 3, 4],
    decoder_spatio_temporal_scaling: [true, true, true, false],
  },
  "0.9.1": {
    ...strided,
    ...conditionedDecoder,
    decoder_layers_per_block: [5, 6, 7, 8],
    decoder_inject_noise: [true, true, true, false],
  },
  "0.9.5": {
    ...folding,
    ...conditionedDecoder,
    decoder_layers_per_block: [5, 5, 5, 5],
    decoder_inject_noise: [false, false, false, false],
  },
};

/** The architecture of one release. */
export function releasedVaeConfig(version: keyof typeof configs): VaeConfig {
  return parseVaeConfig(new ConfigFields(configs[version], `VAE ${version}`));
}
