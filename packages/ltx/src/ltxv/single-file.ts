/**
 * Lightricks' single-file checkpoints: recognises a file, and renames its tensors to diffusers' names.
 *
 * The names in the transformer differ in four words. The VAE numbers its blocks in one sequence (resnets, upsamplers and
 * downsamplers), where diffusers nests them. The table below translates each number once, so renames cannot chain.
 *
 * Source: huggingface/diffusers@58eb52c, `scripts/convert_ltx_to_diffusers.py`, `loaders/single_file_utils.py`.
 */
import type { TensorSource } from "@ltx-trainer/torch";
import type { SchedulerConfig } from "../sampling/schedule.ts";
import { ltxv2bTransformer, ltxv090Scheduler, ltxv095Scheduler, type TransformerConfig } from "./config.ts";
import { transformerKeyFromOriginal } from "./key-names.ts";

/** The three VAE architectures, by the version that introduced them. */
export type VaeVersion = "0.9.0" | "0.9.1" | "0.9.5";

/** What a file of tensors contains. */
export type FileFacts =
  | { readonly kind: "lora"; readonly prefix: "transformer" | "diffusion_model" | "none" }
  | {
      readonly kind: "checkpoint";
      /** Key names: one file by Lightricks, or one component of a diffusers folder. */
      readonly layout: "original" | "diffusers";
      readonly transformer: TransformerConfig | undefined;
      readonly vae: VaeVersion | undefined;
      /** Time positions of 0.9.5 and later. Only the metadata or the VAE tells: the transformer's tensors are the same. */
      readonly causalTime: boolean;
      readonly scheduler: SchedulerConfig;
      /** Noise levels a distilled checkpoint was trained for. */
      readonly allowedSigmas: readonly number[] | undefined;
    }
  | { readonly kind: "unknown"; readonly why: string };

type DescribedSource = TensorSource & { readonly metadata?: Readonly<Record<string, string>> };

const transformerPrefix = "model.diffusion_model.";
const vaePrefix = "vae.";

/** Recognises a file by its keys, shapes and metadata. Reads no tensor. */
export function recogniseFile(source: DescribedSource): FileFacts {
  const names = source.names();
  if (names.length > 0 && names.every((name) => /\.(lora_(A|B|down|up)\b.*|alpha)$/.test(name))) {
    return { kind: "lora", prefix: loraPrefix(names[0]!) };
  }
  const isOriginal = names.some((name) => name.startsWith(transformerPrefix) || name.startsWith(vaePrefix));
  const metadata = originalMetadata(source.metadata?.config);
  const transformer = transformerFacts(source, metadata);
  const vae = vaeVersion(source);
  if (transformer === undefined && vae === undefined) {
    return { kind: "unknown", why: `no key of an LTX transformer, VAE or LoRA among ${names.length}` };
  }
  const causalTime = metadata.transformer?.causal_temporal_positioning ?? vae === "0.9.5";
  return {
    kind: "checkpoint",
    layout: isOriginal ? "original" : "diffusers",
    transformer,
    vae,
    causalTime: causalTime === true,
    scheduler: causalTime === true ? ltxv095Scheduler : ltxv090Scheduler,
    allowedSigmas: metadata.allowed_inference_steps,
  };
}

/** The transformer's tensors of a Lightricks file, under diffusers names. */
export function transformerSource(source: TensorSource): TensorSource {
  return renameSource(source, (key) => {
    if (key.startsWith(vaePrefix)) return undefined;
    return transformerKeyFromOriginal(
      key.startsWith(transformerPrefix) ? key.slice(transformerPrefix.length) : key,
    );
  });
}

/** The VAE's tensors of a Lightricks file, under diffusers names. */
export function vaeSource(source: TensorSource, version: VaeVersion): TensorSource {
  return renameSource(source, (key) => {
    if (key.startsWith(transformerPrefix)) return undefined;
    return vaeKeyFromOriginal(key.startsWith(vaePrefix) ? key.slice(vaePrefix.length) : key, version);
  });
}

/** Only the first two blocks change the width, so only those have a `conv_out`. */
const encoderBlocks090 = [
  ...[0, 1].flatMap((i) => [
    `down_blocks.${i}`,
    `down_blocks.${i}.downsamplers.0`,
    `down_blocks.${i}.conv_out`,
  ]),
  "down_blocks.2",
  "down_blocks.2.downsamplers.0",
  "down_blocks.3",
  "mid_block",
];
const encoderBlocks095 = [
  ...[0, 1, 2, 3].flatMap((i) => [`down_blocks.${i}`, `down_blocks.${i}.downsamplers.0`]),
  "mid_block",
];
const decoderBlocks090 = [
  "mid_block",
  "up_blocks.0",
  "up_blocks.1.upsamplers.0",
  "up_blocks.1",
  ...[2, 3].flatMap((i) => [`up_blocks.${i}.conv_in`, `up_blocks.${i}.upsamplers.0`, `up_blocks.${i}`]),
];
const decoderBlocks091 = [
  "mid_block",
  ...[0, 1, 2, 3].flatMap((i) => [`up_blocks.${i}.upsamplers.0`, `up_blocks.${i}`]),
];

/** The diffusers name of each block, by its original number. */
const vaeBlocks: Readonly<Record<VaeVersion, { encoder: readonly string[]; decoder: readonly string[] }>> = {
  "0.9.0": { encoder: encoderBlocks090, decoder: decoderBlocks090 },
  "0.9.1": { encoder: encoderBlocks090, decoder: decoderBlocks091 },
  "0.9.5": { encoder: encoderBlocks095, decoder: decoderBlocks091 },
};

const statistics: ReadonlyMap<string, string | undefined> = new Map([
  ["mean-of-means", "latents_mean"],
  ["std-of-means", "latents_std"],
]);

/**
 * Renames a VAE key of Lightricks' code (without `vae.`) to its diffusers name, or to undefined for statistics that
 * diffusers drops.
 *
 * @throws RangeError for a block number that the version does not have
 */
export function vaeKeyFromOriginal(key: string, version: VaeVersion): string | undefined {
  const statistic = /^per_channel_statistics\.(.+)$/.exec(key);
  if (statistic !== null) return statistics.get(statistic[1]!);
  const block = /^(encoder|decoder)\.(?:down|up)_blocks\.(\d+)\.(.+)$/.exec(key);
  if (block === null) return renameVaeLeaf(key.replace(/^decoder\.last_/, "decoder."));
  const side = block[1] as "encoder" | "decoder";
  const place = vaeBlocks[version][side][Number(block[2])];
  if (place === undefined) {
    throw new RangeError(
      `VAE key ${key}: got block ${block[2]}, expected below ${vaeBlocks[version][side].length}`,
    );
  }
  return renameVaeLeaf(`${side}.${place}.${block[3]}`);
}

function renameVaeLeaf(key: string): string {
  return key
    .replace(".res_blocks.", ".resnets.")
    .replace(".conv_shortcut.", ".conv_shortcut.conv.")
    .replace(".norm3.norm.", ".norm3.");
}

/** A view of a source under other names. Keys renamed to undefined are left out. */
function renameSource(source: TensorSource, rename: (key: string) => string | undefined): TensorSource {
  const originals = new Map<string, string>();
  for (const key of source.names()) {
    const name = rename(key);
    if (name !== undefined) originals.set(name, key);
  }
  const original = (name: string): string => {
    const key = originals.get(name);
    if (key === undefined)
      throw new RangeError(`tensor ${name}: got no such key, expected one of the file's`);
    return key;
  };
  return {
    names: () => [...originals.keys()],
    has: (name) => originals.has(name),
    info: (name) => source.info(original(name)),
    tensor: (name) => source.tensor(original(name)),
  };
}

/** The parts of Lightricks' metadata that we use. */
type OriginalMetadata = {
  readonly transformer?: {
    readonly causal_temporal_positioning?: boolean;
    readonly num_attention_heads?: number;
  };
  readonly allowed_inference_steps?: readonly number[];
};

function originalMetadata(json: string | undefined): OriginalMetadata {
  if (json === undefined) return {};
  try {
    return JSON.parse(json) as OriginalMetadata;
  } catch {
    return {}; // some converters write other text under this name; the shapes are enough
  }
}

function loraPrefix(name: string): "transformer" | "diffusion_model" | "none" {
  if (name.startsWith("transformer.")) return "transformer";
  return name.startsWith("diffusion_model.") ? "diffusion_model" : "none";
}

function shapeOf(source: TensorSource, ...keys: string[]): readonly number[] | undefined {
  const key = keys.find((candidate) => source.has(candidate));
  return key === undefined ? undefined : source.info(key).shape;
}

function transformerFacts(source: TensorSource, metadata: OriginalMetadata): TransformerConfig | undefined {
  const keys = ["patchify_proj.weight", "proj_in.weight"].flatMap((key) => [transformerPrefix + key, key]);
  const projIn = shapeOf(source, ...keys);
  if (projIn === undefined) return undefined;
  const [width, inChannels] = projIn as readonly [number, number];
  const captions = "caption_projection.linear_1.weight";
  const layers = source
    .names()
    .map((name) => Number(/(?:^|\.)transformer_blocks\.(\d+)\./.exec(name)?.[1] ?? -1));
  // The shapes do not show the number of heads. Every released checkpoint has 32.
  const heads = metadata.transformer?.num_attention_heads ?? ltxv2bTransformer.numAttentionHeads;
  return {
    ...ltxv2bTransformer,
    inChannels,
    outChannels: shapeOf(source, `${transformerPrefix}proj_out.weight`, "proj_out.weight")?.[0] ?? inChannels,
    numAttentionHeads: heads,
    attentionHeadDim: width / heads,
    crossAttentionDim: width,
    numLayers: layers.reduce((most, layer) => Math.max(most, layer + 1), 0),
    captionChannels: shapeOf(source, transformerPrefix + captions, captions)?.[1] ?? 4096,
  };
}

function vaeVersion(source: TensorSource): VaeVersion | undefined {
  const names = source.names();
  const encoderOut = shapeOf(
    source,
    `${vaePrefix}encoder.conv_out.conv.weight`,
    "encoder.conv_out.conv.weight",
  );
  if (encoderOut === undefined) return undefined;
  // The 0.9.5 downsampler wraps its convolution once more than older ones. For released widths the width tells too.
  const wrapped = /(downsamplers\.0|encoder\.down_blocks\.1)\.conv\.conv\.weight$/;
  if (encoderOut[1] === 2048 || names.some((name) => wrapped.test(name))) return "0.9.5";
  const isConditioned = names.some((name) => /decoder\.(last_)?time_embedder\./.test(name));
  return isConditioned ? "0.9.1" : "0.9.0";
}
