/**
 * The LTX video model: base folders, transformer, VAE, text encoder, schedules, sampling, LoRA.
 */

export { ConfigError, ConfigFields, readJson } from "./config-fields.ts";
export {
  type Compression,
  gridOf,
  type LatentGrid,
  latentGrid,
  ltxvCompression,
  packLatents,
  pixelSize,
  snapFrames,
  unpackLatents,
} from "./latent-grid.ts";
export {
  attentionTargets,
  feedForwardTargets,
  injectLora,
  Lora,
  LoraAdapter,
  type LoraModule,
} from "./lora/lora.ts";
export {
  exportLora,
  type LoadedLora,
  type LoraDialect,
  LoraFileError,
  loadLora,
  saveLora,
} from "./lora/lora-file.ts";
export { type BaseFamily, BaseModel, type LoadOptions, openBase } from "./ltxv/base.ts";
export {
  ltxv2bTransformer,
  ltxv13bTransformer,
  ltxv090Scheduler,
  ltxv095Scheduler,
  parseSchedulerConfig,
  parseTransformerConfig,
  type SchedulerConfig,
  type TransformerConfig,
  transformerWidth,
} from "./ltxv/config.ts";
export { type DecodeVideoOptions, decodeVideo, encodePrompt } from "./ltxv/pipeline.ts";
export {
  type FileFacts,
  originalTransformerKey,
  recogniseFile,
  transformerKeyFromOriginal,
  transformerSource,
  type VaeVersion,
  vaeKeyFromOriginal,
  vaeSource,
} from "./ltxv/single-file.ts";
export { textEncoderSource } from "./ltxv/t5/checkpoint.ts";
export { parseT5Config, type T5Config, t5V11Xxl } from "./ltxv/t5/config.ts";
export { T5Encoder } from "./ltxv/t5/encoder.ts";
export { T5Tokenizer, type T5TokenizerConfig, type TokenizedText } from "./ltxv/t5/tokenizer.ts";
export { timestepSinusoid } from "./ltxv/transformer/conditioning.ts";
export {
  applyRope,
  buildRope,
  causalCoords,
  RopeCache,
  type RopeTables,
  ropeFromCoords,
  secondsOf,
  type TimeRule,
} from "./ltxv/transformer/rope.ts";
export { Transformer, type TransformerInputs } from "./ltxv/transformer/transformer.ts";
export { parseVaeConfig, type VaeConfig } from "./ltxv/vae/config.ts";
export { releasedVaeConfig } from "./ltxv/vae/released.ts";
export type { VaeTiling } from "./ltxv/vae/tiling.ts";
export { type DecodeOptions, type EncodeOptions, type Posterior, Vae } from "./ltxv/vae/vae.ts";
export { type Condition, type ConditionedSampleOptions, sampleConditioned } from "./sampling/conditions.ts";
export { type GuidanceOptions, guide, type PromptEmbedding } from "./sampling/guidance.ts";
export { drawNoise, type NoiseOptions } from "./sampling/noise.ts";
export { type SampleOptions, type SampleProgress, sampleLatents } from "./sampling/sampler.ts";
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
} from "./sampling/schedule.ts";
