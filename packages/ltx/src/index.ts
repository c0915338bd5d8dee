/**
 * The LTX video model: base folders, transformer, VAE, text encoder, schedules, sampling, LoRA.
 */

export { ConfigFields } from "./config-fields.ts";
export {
  gridOf,
  type LatentGrid,
  latentGrid,
  packLatents,
  snapFrames,
  /** @internal for tests */
  unpackLatents,
} from "./latent-grid.ts";
export {
  attentionTargets,
  feedForwardTargets,
  injectLora,
  Lora,
  LoraAdapter,
} from "./lora/lora.ts";
export {
  /** @internal for tests */
  exportLora,
  type LoadedLora,
  loadLora,
  saveLora,
} from "./lora/lora-file.ts";
export { type BaseFamily, BaseModel, type LoadOptions, openBase } from "./ltxv/base.ts";
export {
  /** @internal for tests */
  parseTransformerConfig,
  type TransformerConfig,
  transformerWidth,
} from "./ltxv/config.ts";
export { decodeVideo, encodePrompt } from "./ltxv/pipeline.ts";

export { T5Encoder } from "./ltxv/t5/encoder.ts";
export { T5Tokenizer } from "./ltxv/t5/tokenizer.ts";

export { buildRope } from "./ltxv/transformer/rope.ts";
export { Transformer, type TransformerInputs } from "./ltxv/transformer/transformer.ts";
export { parseVaeConfig } from "./ltxv/vae/config.ts";

export { Vae } from "./ltxv/vae/vae.ts";

export type { PromptEmbedding } from "./sampling/guidance.ts";

export { sampleLatents } from "./sampling/sampler.ts";
