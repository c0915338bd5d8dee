/**
 * The configuration of a T5 text encoder: `text_encoder/config.json`.
 *
 * Source: huggingface/transformers@v4.52.2, `models/t5/configuration_t5.py`.
 */
import type { ConfigFields } from "../../config-fields.ts";

export type T5Config = {
  /** Width D of the embeddings. */
  readonly dModel: number;
  /** Hidden width of the feed-forward. */
  readonly dFf: number;
  /** Width of one attention head. Heads x width may differ from D. */
  readonly dKv: number;
  readonly numHeads: number;
  readonly numLayers: number;
  readonly vocabSize: number;
  readonly relativeAttentionNumBuckets: number;
  readonly relativeAttentionMaxDistance: number;
  readonly layerNormEpsilon: number;
};

/** T5 v1.1 XXL, the text encoder of every released LTX checkpoint. */
export const t5V11Xxl: T5Config = Object.freeze({
  dModel: 4096,
  dFf: 10240,
  dKv: 64,
  numHeads: 64,
  numLayers: 24,
  vocabSize: 32128,
  relativeAttentionNumBuckets: 32,
  relativeAttentionMaxDistance: 128,
  layerNormEpsilon: 1e-6,
});

/**
 * Reads `text_encoder/config.json`.
 *
 * @throws ConfigError when a field is missing or the feed-forward is not the gated GELU of T5 v1.1
 */
export function parseT5Config(fields: ConfigFields): T5Config {
  fields.oneOf("feed_forward_proj", ["gated-gelu"]);
  return {
    dModel: fields.count("d_model"),
    dFf: fields.count("d_ff"),
    dKv: fields.count("d_kv"),
    numHeads: fields.count("num_heads"),
    numLayers: fields.count("num_layers"),
    vocabSize: fields.count("vocab_size"),
    relativeAttentionNumBuckets: fields.count("relative_attention_num_buckets", 32),
    relativeAttentionMaxDistance: fields.count("relative_attention_max_distance", 128),
    layerNormEpsilon: fields.number("layer_norm_epsilon", 1e-6),
  };
}
