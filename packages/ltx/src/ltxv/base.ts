/**
 * A base model on disk: a diffusers folder with a transformer, a VAE, a text encoder, a tokenizer and a scheduler.
 *
 * Opening reads only configurations and vocabulary; each component is loaded when asked for, so that a training can hold
 * one big model at a time. What diffusers' configurations do not say stands in `model_index.json` under `_ltx_trainer`
 * (`name`, `family`, `text_length`, `causal_time`), or is worked out from the components.
 *
 * Source: huggingface/diffusers@58eb52c, `scripts/convert_ltx_to_diffusers.py` (folder layout);
 * huggingface/transformers@v4.52.2 (text encoder and tokenizer folders).
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { openTensors, Parameters, type TensorSource, tensorFiles } from "@ltx-trainer/torch";
import { ConfigError, ConfigFields } from "../config-fields.ts";
import type { BaseModel, LoadOptions, ModelDefaults, ModelFamily, PromptEncoder } from "../family.ts";
import type { Compression } from "../latent-grid.ts";
import type { SchedulerConfig } from "../sampling/schedule.ts";
import {
  type LtxvVariant,
  ltxvVariants,
  parseSchedulerConfig,
  parseTransformerConfig,
  type TransformerConfig,
  transformerWidth,
} from "./config.ts";
import { defaultsOf } from "./defaults.ts";
import { encodePrompt } from "./encode-prompt.ts";
import { attentionTargets, feedForwardTargets } from "./lora-targets.ts";
import { textEncoderSource } from "./t5/checkpoint.ts";
import { parseT5Config, type T5Config } from "./t5/config.ts";
import { T5Encoder } from "./t5/encoder.ts";
import { T5Tokenizer, tokenizerFiles } from "./t5/tokenizer.ts";
import { Transformer } from "./transformer/transformer.ts";
import { parseVaeConfig, type VaeConfig } from "./vae/config.ts";
import { Vae } from "./vae/vae.ts";

const componentNames = ["scheduler", "text_encoder", "tokenizer", "transformer", "vae"] as const;
const pipelines = ["LTXPipeline", "LTXConditionPipeline", "LTXImageToVideoPipeline"] as const;

/** Checkpoints of LTX-Video 0.9.0 to 0.9.8, and ltx-nano. */
export const ltxv: ModelFamily = {
  name: "ltxv",
  pipelines,
  open: (folder, index) => new LtxvBase(folder, index),
};

/**
 * Opens a folder that is known to be LTX-Video's, with the parts that only this family has.
 *
 * @throws ConfigError when a component or a configuration is missing or is not LTX
 */
export function openLtxvBase(folder: string): LtxvBase {
  const path = resolve(folder);
  const index = ConfigFields.fromFile(join(path, "model_index.json"));
  index.oneOf("_class_name", pipelines);
  return new LtxvBase(path, index);
}

export class LtxvBase implements BaseModel {
  readonly folder: string;
  readonly name: string;
  readonly variant: LtxvVariant;
  readonly transformerConfig: TransformerConfig;
  readonly vaeConfig: VaeConfig;
  readonly t5Config: T5Config;
  readonly schedulerConfig: SchedulerConfig;
  readonly defaults: ModelDefaults;
  readonly loraTargets: readonly string[] = [...attentionTargets, ...feedForwardTargets];
  readonly #tokenizer: T5Tokenizer;

  /** @param index `model_index.json` */
  constructor(folder: string, index: ConfigFields) {
    this.folder = folder;
    for (const component of componentNames) requireComponent(folder, index, component);
    const own = new ConfigFields(index.raw("_ltx_trainer") ?? {}, `${index.where}, _ltx_trainer`);
    const config = (component: string, file = "config.json") =>
      ConfigFields.fromFile(join(folder, component, file));
    this.transformerConfig = parseTransformerConfig(config("transformer"));
    this.vaeConfig = parseVaeConfig(config("vae"));
    this.t5Config = parseT5Config(config("text_encoder"));
    this.schedulerConfig = parseSchedulerConfig(config("scheduler", "scheduler_config.json"));
    this.name = own.string("name", basename(folder));
    this.variant = own.oneOf("family", ltxvVariants, variantOf(this.name, this.transformerConfig));
    const causalTime = own.boolean("causal_time", isSpaceToDepth(config("vae")));
    this.defaults = {
      ...defaultsOf(this.variant, {
        causalTime,
        scheduler: this.schedulerConfig,
        isTimestepConditioned: this.vaeConfig.decoder.timestepConditioning,
      }),
      textLength: own.count("text_length", defaultTextLength(folder, this.variant, causalTime)),
    };
    this.#tokenizer = T5Tokenizer.fromFolder(join(folder, "tokenizer"));
    this.#check();
  }

  /** Pixels per latent cell. */
  get compression(): Compression {
    return { temporal: this.vaeConfig.temporalCompression, spatial: this.vaeConfig.spatialCompression };
  }

  get latentChannels(): number {
    return this.vaeConfig.latentChannels;
  }

  get textWidth(): number {
    return this.t5Config.dModel;
  }

  /** @throws CheckpointError naming every missing, unexpected and misshapen key */
  loadTransformer(options: LoadOptions = {}): Transformer {
    return this.#load("transformer", options, (p) => new Transformer(p, this.transformerConfig));
  }

  /** @throws CheckpointError naming every missing, unexpected and misshapen key */
  loadVae(options: LoadOptions = {}): Vae {
    return this.#load("vae", options, (p) => new Vae(p, this.vaeConfig));
  }

  /** @throws CheckpointError naming every missing, unexpected and misshapen key */
  loadTextEncoder(options: LoadOptions = {}): T5Encoder {
    return this.#load("text_encoder", options, (p) => new T5Encoder(p, this.t5Config), textEncoderSource);
  }

  loadPromptEncoder(options: LoadOptions = {}): PromptEncoder {
    const encoder = this.loadTextEncoder(options);
    return {
      parameters: encoder.parameters,
      encode: (text, { length, maskPadding }) =>
        encodePrompt(this.#tokenizer, encoder, text, length, { maskPadding }),
    };
  }

  loadTokenizer(): T5Tokenizer {
    return this.#tokenizer;
  }

  /**
   * SHA-256 that names this model's contents: of the files that are loaded, whatever else lies beside them.
   *
   * Small files enter whole. Of a weight file its size, its header and 64 evenly spread windows of 64 KiB enter:
   * any training or conversion changes those, and 28 GB are named in a second.
   */
  async hash(): Promise<string> {
    const hash = createHash("sha256");
    for (const component of componentNames) {
      for (const file of loadedFiles(this.folder, component)) {
        hash.update(`${component}/${file}\n`);
        await hashFile(join(this.folder, component, file), hash);
      }
    }
    return hash.digest("hex");
  }

  #load<M>(
    component: string,
    options: LoadOptions,
    build: (p: Parameters) => M,
    view: (source: TensorSource) => TensorSource = (source) => source,
  ): M {
    const source = openTensors(join(this.folder, component));
    try {
      const parameters = Parameters.from(view(source), options);
      const model = build(parameters);
      parameters.finish(`${this.name}, ${component}`);
      return model;
    } finally {
      source.close();
    }
  }

  #check(): void {
    const channels = this.vaeConfig.latentChannels;
    if (channels !== this.transformerConfig.inChannels) {
      const expected = `${channels}, the latent channels of the VAE`;
      throw new ConfigError(
        `${this.folder}, transformer in_channels`,
        `${this.transformerConfig.inChannels}`,
        expected,
      );
    }
    if (this.t5Config.dModel !== this.transformerConfig.captionChannels) {
      const expected = `${this.transformerConfig.captionChannels}, the transformer's caption_channels`;
      throw new ConfigError(`${this.folder}, text_encoder d_model`, `${this.t5Config.dModel}`, expected);
    }
    if (this.#tokenizer.idCount > this.t5Config.vocabSize) {
      throw new ConfigError(
        `${this.folder}, tokenizer`,
        `${this.#tokenizer.idCount} token ids`,
        `at most ${this.t5Config.vocabSize}, the text_encoder's vocab_size`,
        "They are of two models; copy both folders from one.",
      );
    }
  }
}

function requireComponent(folder: string, index: ConfigFields, component: string): void {
  if (!index.has(component) || !existsSync(join(folder, component))) {
    throw new ConfigError(folder, `no ${component}`, `the components ${componentNames.join(", ")}`);
  }
}

/** The files of a component that loading reads, sorted. */
function loadedFiles(folder: string, component: (typeof componentNames)[number]): string[] {
  const path = join(folder, component);
  if (component === "scheduler") return ["scheduler_config.json"];
  if (component === "tokenizer") return tokenizerFiles(path);
  return ["config.json", ...tensorFiles(path)].toSorted();
}

function variantOf(name: string, config: TransformerConfig): LtxvVariant {
  if (name.startsWith("ltx-nano")) return "nano";
  const width = transformerWidth(config);
  if (config.numLayers === 28 && width === 2048) return "2b";
  return config.numLayers === 48 && width === 4096 ? "13b" : "custom";
}

/** The VAE that came with 0.9.5 marks the checkpoints trained with causal time; nothing in the transformer does. */
function isSpaceToDepth(vae: ConfigFields): boolean {
  return vae.strings("down_block_types", []).includes("LTXVideo095DownBlock3D");
}

/**
 * Released checkpoints from 0.9.5 on: 256, as LTXConditionPipeline and Lightricks' code use; their tokenizers say 128
 * only because the converter writes it into every one. All others: what the tokenizer says.
 */
function defaultTextLength(folder: string, variant: LtxvVariant, causalTime: boolean): number {
  if (causalTime && (variant === "2b" || variant === "13b")) return 256;
  const file = join(folder, "tokenizer", "tokenizer_config.json");
  const stated = existsSync(file) ? ConfigFields.fromFile(file).raw("model_max_length") : undefined;
  return typeof stated === "number" && stated <= 512 ? stated : 128;
}

const wholeBytes = 4 << 20;
const windowBytes = 64 << 10;
const sampledWindows = 64;

async function hashFile(path: string, hash: ReturnType<typeof createHash>): Promise<void> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    hash.update(`${size}\n`);
    const read = async (start: number, length: number): Promise<void> => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, start);
      hash.update(buffer.subarray(0, bytesRead));
    };
    if (size <= wholeBytes) return await read(0, size);
    await read(0, wholeBytes / 4); // a safetensors header: names and shapes
    const stride = Math.floor((size - windowBytes) / (sampledWindows - 1));
    for (let i = 0; i < sampledWindows; i++) await read(i * stride, windowBytes);
  } finally {
    await file.close();
  }
}
