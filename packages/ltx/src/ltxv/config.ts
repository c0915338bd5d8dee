/**
 * The configurations of the transformer and the scheduler, as the released folders spell them.
 *
 * Source: huggingface/diffusers@58eb52c, `transformer_ltx.py`, `scheduling_flow_match_euler_discrete.py` and
 * `scripts/convert_ltx_to_diffusers.py` (the values of the released checkpoints).
 */
import { ConfigError, type ConfigFields } from "../config-fields.ts";
import type { Compression } from "../latent-grid.ts";
import type { SchedulerConfig } from "../sampling/schedule.ts";

/** Checkpoints by size; "custom" is any other. */
export const ltxvVariants = ["nano", "2b", "13b", "custom"] as const;
export type LtxvVariant = (typeof ltxvVariants)[number];

/** Pixels per latent cell of every released VAE. */
export const ltxvCompression: Compression = Object.freeze({ temporal: 8, spatial: 32 });

/** Sizes of the video transformer. The width D is `numAttentionHeads * attentionHeadDim`. */
export type TransformerConfig = {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly numAttentionHeads: number;
  readonly attentionHeadDim: number;
  readonly crossAttentionDim: number;
  readonly numLayers: number;
  /** Width of the text embeddings. */
  readonly captionChannels: number;
  readonly normEps: number;
  readonly attentionBias: boolean;
  readonly attentionOutBias: boolean;
};

/** 2B checkpoints: 0.9.0, 0.9.1, 0.9.5, 0.9.6 and the 2B of 0.9.8. */
export const ltxv2bTransformer: TransformerConfig = Object.freeze({
  inChannels: 128,
  outChannels: 128,
  numAttentionHeads: 32,
  attentionHeadDim: 64,
  crossAttentionDim: 2048,
  numLayers: 28,
  captionChannels: 4096,
  normEps: 1e-6,
  attentionBias: true,
  attentionOutBias: true,
});

/** 13B checkpoints: 0.9.7 and 0.9.8. */
export const ltxv13bTransformer: TransformerConfig = Object.freeze({
  ...ltxv2bTransformer,
  attentionHeadDim: 128,
  crossAttentionDim: 4096,
  numLayers: 48,
});

/**
 * Reads `transformer/config.json`.
 *
 * @throws ConfigError when a field is missing or has a value that no released checkpoint uses
 */
export function parseTransformerConfig(fields: ConfigFields): TransformerConfig {
  fields.oneOf("patch_size", [1], 1);
  fields.oneOf("patch_size_t", [1], 1);
  fields.oneOf("activation_fn", ["gelu-approximate"], "gelu-approximate");
  fields.oneOf("qk_norm", ["rms_norm_across_heads"], "rms_norm_across_heads");
  fields.oneOf("norm_elementwise_affine", [false], false);
  const inChannels = fields.count("in_channels", 128);
  const config: TransformerConfig = {
    inChannels,
    outChannels: fields.count("out_channels", inChannels),
    numAttentionHeads: fields.count("num_attention_heads", 32),
    attentionHeadDim: fields.count("attention_head_dim", 64),
    crossAttentionDim: fields.count("cross_attention_dim", 2048),
    numLayers: fields.count("num_layers", 28),
    captionChannels: fields.count("caption_channels", 4096),
    normEps: fields.number("norm_eps", 1e-6),
    attentionBias: fields.boolean("attention_bias", true),
    attentionOutBias: fields.boolean("attention_out_bias", true),
  };
  const width = transformerWidth(config);
  if (config.crossAttentionDim !== width) {
    // Captions are projected to the width before they reach the blocks, so no other value can work.
    const expected = `${width}, the width (heads x head size)`;
    throw new ConfigError(`${fields.where}, cross_attention_dim`, `${config.crossAttentionDim}`, expected);
  }
  return config;
}

/** The width D of the hidden states. */
export function transformerWidth(config: TransformerConfig): number {
  return config.numAttentionHeads * config.attentionHeadDim;
}

/** 0.9.0 and 0.9.1: the shift grows with the number of tokens, and the last sigma is 0.1. */
export const ltxv090Scheduler: SchedulerConfig = Object.freeze({
  numTrainTimesteps: 1000,
  shift: 1,
  useDynamicShifting: true,
  baseShift: 0.95,
  maxShift: 2.05,
  baseImageSeqLen: 1024,
  maxImageSeqLen: 4096,
  shiftTerminal: 0.1,
  timeShiftType: "exponential",
  stochasticSampling: false,
});

/** 0.9.5 and later. */
export const ltxv095Scheduler: SchedulerConfig = Object.freeze({
  ...ltxv090Scheduler,
  useDynamicShifting: false,
  baseShift: 0.5,
  maxShift: 1.15,
  baseImageSeqLen: 256,
  shiftTerminal: undefined,
});

/**
 * Reads `scheduler/scheduler_config.json`.
 *
 * @throws ConfigError when it selects a schedule that no LTX checkpoint uses (Karras, beta, inverted, ...)
 */
export function parseSchedulerConfig(fields: ConfigFields): SchedulerConfig {
  const unused = ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "invert_sigmas"];
  for (const name of unused) fields.oneOf(name, [false], false);
  return {
    numTrainTimesteps: fields.count("num_train_timesteps", 1000),
    shift: fields.number("shift", 1),
    useDynamicShifting: fields.boolean("use_dynamic_shifting", false),
    baseShift: fields.number("base_shift", 0.5),
    maxShift: fields.number("max_shift", 1.15),
    baseImageSeqLen: fields.count("base_image_seq_len", 256),
    maxImageSeqLen: fields.count("max_image_seq_len", 4096),
    shiftTerminal: fields.has("shift_terminal") ? fields.number("shift_terminal") : undefined,
    timeShiftType: fields.oneOf("time_shift_type", ["exponential", "linear"], "exponential"),
    stochasticSampling: fields.boolean("stochastic_sampling", false),
  };
}
