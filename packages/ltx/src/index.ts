/**
 * The LTX video model: base folders, transformer, VAE, text encoder, schedules, sampling, LoRA.
 *
 * The first part works with every model family; the second is LTX-Video's own.
 */
export { ConfigFields } from "./config-fields.ts";
export type {
  BaseModel,
  ModelDefaults,
  PromptEmbedding,
  Tokenizer,
  VelocityInputs,
  VideoTransformer,
  VideoVae,
} from "./family.ts";
export {
  gridOf,
  type LatentGrid,
  latentGrid,
  packLatents,
  snapFrames,
  /** @internal for tests */
  unpackLatents,
} from "./latent-grid.ts";
export { injectLora, Lora, LoraAdapter } from "./lora/lora.ts";
export {
  /** @internal for tests */
  exportLora,
  type LoadedLora,
  loadLora,
  saveLora,
} from "./lora/lora-file.ts";
export { type LtxvBase, openLtxvBase } from "./ltxv/base.ts";
export {
  ltxvCompression,
  /** @internal for tests */
  parseTransformerConfig,
  type TransformerConfig,
  transformerWidth,
} from "./ltxv/config.ts";
export { encodePrompt } from "./ltxv/encode-prompt.ts";
export { attentionTargets, feedForwardTargets } from "./ltxv/lora-targets.ts";
export { T5Encoder } from "./ltxv/t5/encoder.ts";
export { T5Tokenizer } from "./ltxv/t5/tokenizer.ts";
export { buildRope } from "./ltxv/transformer/rope.ts";
export { Transformer } from "./ltxv/transformer/transformer.ts";
export { parseVaeConfig } from "./ltxv/vae/config.ts";
export { Vae } from "./ltxv/vae/vae.ts";
export { openBase } from "./open-base.ts";
export { decodeVideo } from "./sampling/decode-video.ts";
export { sampleLatents } from "./sampling/sampler.ts";
