/**
 * The LTX video model: base folders, transformer, VAE, text encoder, schedules, sampling, LoRA.
 */
export { type BaseFamily, BaseModel, type LoadOptions, openBase } from "./base.ts";
export { type Condition, type ConditionedSampleOptions, sampleConditioned } from "./conditions.ts";
export {
  LTXV_2B_TRANSFORMER,
  LTXV_13B_TRANSFORMER,
  LTXV_090_SCHEDULER,
  LTXV_095_SCHEDULER,
  parseSchedulerConfig,
  parseTransformerConfig,
  type SchedulerConfig,
  type TransformerConfig,
  transformerWidth,
} from "./config.ts";
export { ConfigError, ConfigFields, readJson } from "./config-fields.ts";
export { type GuidanceOptions, guide, type PromptEmbedding } from "./guidance.ts";
export {
  type Compression,
  gridOf,
  type LatentGrid,
  LTXV_COMPRESSION,
  latentGrid,
  packLatents,
  pixelSize,
  snapFrames,
  unpackLatents,
} from "./latent-grid.ts";
export {
  ATTENTION_TARGETS,
  FEED_FORWARD_TARGETS,
  injectLora,
  Lora,
  LoraAdapter,
  type LoraModule,
} from "./lora.ts";
export {
  exportLora,
  type LoadedLora,
  type LoraDialect,
  LoraFileError,
  loadLora,
  saveLora,
} from "./lora-file.ts";
export { drawNoise, type NoiseOptions } from "./noise.ts";
export { type DecodeVideoOptions, decodeVideo, encodePrompt } from "./pipeline.ts";
export { type SampleOptions, type SampleProgress, sampleLatents } from "./sampler.ts";
export {
  eulerStep,
  type Levels,
  linearQuadraticSigmas,
  makeSchedule,
  type ScheduleRule,
  type SigmaSchedule,
  shiftForTokens,
  stochasticStep,
  tokenLevels,
} from "./schedule.ts";
export {
  type FileFacts,
  originalTransformerKey,
  recogniseFile,
  transformerKeyFromOriginal,
  transformerSource,
  type VaeVersion,
  vaeKeyFromOriginal,
  vaeSource,
} from "./single-file.ts";
export { textEncoderSource } from "./t5/checkpoint.ts";
export { parseT5Config, T5_V1_1_XXL, type T5Config } from "./t5/config.ts";
export { T5Encoder } from "./t5/encoder.ts";
export { T5Tokenizer, type T5TokenizerConfig, type TokenizedText } from "./t5/tokenizer.ts";
export { timestepSinusoid } from "./transformer/conditioning.ts";
export {
  applyRope,
  buildRope,
  causalCoords,
  RopeCache,
  type RopeTables,
  ropeFromCoords,
  secondsOf,
  type TimeRule,
} from "./transformer/rope.ts";
export { Transformer, type TransformerInputs } from "./transformer/transformer.ts";
export { parseVaeConfig, type VaeConfig } from "./vae/config.ts";
export { releasedVaeConfig } from "./vae/released.ts";
export type { VaeTiling } from "./vae/tiling.ts";
export { type DecodeOptions, type EncodeOptions, type Posterior, Vae } from "./vae/vae.ts";
