/**
 * What a model family gives. Everything outside a family's folder knows these types only: `sampling/`, `lora/` and the trainer
 * work with any family.
 *
 * A family is one folder beside `ltxv/` with a `ModelFamily` value, and a line in `open-base.ts`.
 *
 * Shapes: B batch, T video tokens, C latent channels, F H W latent frames, height, width, f h w pixel frames, height, width,
 * L text tokens, D text width, G timestep groups (1, one per latent frame, or T).
 */
import type { Device, DType, Generator, Parameters, Tensor } from "@ltx-trainer/torch";
import type { ConfigFields } from "./config-fields.ts";
import type { Compression, LatentGrid } from "./latent-grid.ts";
import type { ScheduleRule } from "./sampling/schedule.ts";

export type LoadOptions = {
  /** Type the weights are held and multiplied in; default as stored. */
  readonly dtype?: DType;
  /** Default "cpu". */
  readonly device?: Device;
  /** Whether weights collect gradients. Default false. */
  readonly trainable?: boolean;
};

/** A caption as a transformer reads it. A prompt encoder makes one row; several rows are several videos. */
export type PromptEmbedding = {
  readonly text_1LD: Tensor;
  /** 1 for text, 0 for padding. */
  readonly mask_1L: Tensor;
};

/** What a transformer predicts a velocity from. */
export type VelocityInputs = {
  readonly tokens_BTC: Tensor;
  readonly text_BLD: Tensor;
  /** 1 (or true) for real text tokens; left out, every token counts. */
  readonly textMask_BL?: Tensor | undefined;
  /**
   * Noise level times 1000, any number type: `[B]`, `[B,1]`, `[B,G]` with one value for every T/G consecutive tokens
   * (G = latent frames conditions whole frames), or `[B,T]`.
   */
  readonly timestep_BT: Tensor;
  readonly grid: LatentGrid;
  /** Videos of this grid in the sequence, all at the same positions: 2 with a reference in front. Default 1. */
  readonly videos?: number | undefined;
  /** Frames per second of the video in pixels. */
  readonly frameRate: number;
  /** Whether latent frames are placed at their true start in time. Default false. */
  readonly causalTime?: boolean;
  /** Inside `backwardThrough`, recompute each block in the backward pass instead of keeping its activations. */
  readonly checkpointBlocks?: boolean;
};

/** Names of layers in the checkpoints that ComfyUI and the family's authors use. */
export type KeyNames = {
  /** Of a layer's path: `transformer_blocks.0.attn1.norm_q` to `transformer_blocks.0.attn1.q_norm`. */
  toOriginal(path: string): string;
  /** The reverse; names that agree pass through. */
  fromOriginal(key: string): string;
};

export type VideoTransformer<Inputs extends VelocityInputs = VelocityInputs> = {
  /** The type the weights are stored and multiplied in. */
  readonly dtype: DType;
  readonly device: Device;
  readonly latentChannels: number;
  /** Layers by path: what a LoRA attaches to. */
  readonly parameters: Parameters;
  readonly keyNames: KeyNames;
  /** Endings of the paths of layers that get a LoRA unless others are asked for. */
  readonly loraTargets: readonly string[];
  /** The predicted velocity, `noise - latents`: `[B,T,C]` in the weights' type. */
  forward(inputs: Inputs): Tensor;
  free(): void;
};

/** What an encoder knows of a clip's latents: a Gaussian per cell. */
export type Posterior = {
  readonly mean_BCFHW: Tensor;
  /** One log-variance for all channels of a cell. */
  readonly logvar_B1FHW: Tensor;
};

/** Sizes in pixels and frames. Give `space`, `time` or both; a smaller clip is done in one piece. */
export type VaeTiling = {
  /** Side of a square tile and the distance between two, multiples of the spatial compression. */
  readonly space?: { readonly tile: number; readonly stride: number };
  /** Frames of a tile beyond its first, and between two tiles, multiples of the temporal compression. */
  readonly time?: { readonly tile: number; readonly stride: number };
};

export type DecodeOptions = {
  /** Decode timestep in [0, 1]. Default 0. Only for conditioned decoders. */
  readonly timestep?: number | undefined;
  /** Draws the noise some decoders inject. Default: the default generator of the device. */
  readonly generator?: Generator | undefined;
  readonly tiling?: VaeTiling | undefined;
};

export type VideoVae = {
  readonly dtype: DType;
  readonly device: Device;
  readonly parameters: Parameters;
  /** Whether the decoder is told a timestep, and gets latents with noise in them. */
  readonly isTimestepConditioned: boolean;
  /** @param pixels_BCfhw in [-1, 1] */
  encode(pixels_BCfhw: Tensor): Posterior;
  /** Raw latents drawn from a posterior. */
  sample(posterior: Posterior, source: { readonly generator: Generator }): Tensor;
  /** Raw latents at the posterior's mean. */
  mode(posterior: Posterior): Tensor;
  normalize(latents_BCFHW: Tensor): Tensor;
  denormalize(latents_BCFHW: Tensor): Tensor;
  /** Pixels `[B,3,f,h,w]` of raw latents. */
  decode(latents_BCFHW: Tensor, options?: DecodeOptions): Tensor;
};

export type PromptEncoder = {
  readonly parameters: Parameters;
  /**
   * The embedding of one prompt, padded to `length` tokens, in the encoder's type.
   *
   * @param options.maskPadding whether padding is hidden from the text encoder
   */
  encode(text: string, options: { readonly length: number; readonly maskPadding: boolean }): PromptEmbedding;
};

/** What can be said of a text before the encoder is loaded. */
export type Tokenizer = {
  /** Tokens of a text, its end included. */
  count(text: string): number;
  /** Ids. */
  tokenize(text: string): readonly number[];
};

/** Pixels for each named size. */
export type SizeTable = Readonly<
  Record<
    "low" | "medium" | "high",
    Readonly<Record<"16:9" | "1:1" | "9:16", { readonly width: number; readonly height: number }>>
  >
>;

/** How a base is trained and sampled unless an option says otherwise. */
export type ModelDefaults = {
  /** Whether latent frames are placed at their true start in time. */
  readonly causalTime: boolean;
  /** Whether the text encoder is told which tokens are padding. */
  readonly maskTextPadding: boolean;
  /** Tokens a caption is padded to. */
  readonly textLength: number;
  /** How noise levels are spaced. */
  readonly schedule: ScheduleRule;
  readonly sampler: {
    readonly steps: number;
    readonly guidance: number;
    readonly decodeTimestep: number;
    readonly decodeNoiseScale: number;
  };
  /** Share of training steps with a clean first frame. */
  readonly firstFrameConditioningP: number;
  /** Whether activations of a training step are recomputed on a GPU, because they would not fit. */
  readonly recomputesOnGpu: boolean;
  readonly sizes: SizeTable;
};

/** A base model on disk. Opening reads configurations and vocabulary; weights are loaded when asked for. */
export type BaseModel = {
  readonly folder: string;
  readonly name: string;
  /** Which member of its family: "nano", "2b", "13b", "custom". */
  readonly variant: string;
  readonly latentChannels: number;
  /** D of its prompt embeddings. */
  readonly textWidth: number;
  /** Pixels per latent cell. */
  readonly compression: Compression;
  readonly defaults: ModelDefaults;
  /** Endings of the paths of layers that a LoRA may sit on. */
  readonly loraTargets: readonly string[];
  /** @throws CheckpointError naming every missing, unexpected and misshapen key */
  loadTransformer(options?: LoadOptions): VideoTransformer;
  /** @throws CheckpointError naming every missing, unexpected and misshapen key */
  loadVae(options?: LoadOptions): VideoVae;
  /** @throws CheckpointError naming every missing, unexpected and misshapen key */
  loadPromptEncoder(options?: LoadOptions): PromptEncoder;
  loadTokenizer(): Tokenizer;
  /** SHA-256 that names this model's contents. */
  hash(): Promise<string>;
};

export type ModelFamily = {
  readonly name: string;
  /** Values of `_class_name` in `model_index.json` that mark a folder of this family. */
  readonly pipelines: readonly string[];
  /**
   * @param index `model_index.json`
   * @throws ConfigError when a component or a configuration is missing or is not of this family
   */
  open(folder: string, index: ConfigFields): BaseModel;
};
