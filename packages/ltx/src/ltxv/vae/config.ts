/**
 * The configuration of a video VAE: converts `vae/config.json` to the list of blocks in the order they run.
 *
 * The released file lists the decoder outside-in, derives widths from neighbours and has fields that only make sense
 * together. All of that is resolved here, so the layers get final numbers.
 *
 * Source: huggingface/diffusers@58eb52c, `autoencoder_kl_ltx.py` (how the fields become blocks),
 * `scripts/convert_ltx_to_diffusers.py` (the released values).
 */
import { ConfigError, type ConfigFields } from "../../config-fields.ts";

/** How a down block shrinks its input: a strided convolution (0.9.0, 0.9.1) or folding cells into channels (0.9.5+). */
export type Downsample = "none" | "conv" | "spatial" | "temporal" | "spatiotemporal";

export type DownBlockConfig = {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly resnets: number;
  readonly downsample: Downsample;
};

export type UpBlockConfig = {
  /** Width of the input. */
  readonly inChannels: number;
  /** Width of the resnets and of the output. */
  readonly outChannels: number;
  readonly resnets: number;
  readonly upsample: boolean;
  /** Add the unfolded input to the upsampled output. */
  readonly residual: boolean;
  /** Factor by which the upsampler narrows its input, besides unfolding. */
  readonly upsampleFactor: number;
  readonly injectNoise: boolean;
};

export type MidBlockConfig = {
  readonly channels: number;
  readonly resnets: number;
  readonly injectNoise: boolean;
};

export type VaeEncoderConfig = {
  readonly inChannels: number;
  readonly patchSize: number;
  readonly causal: boolean;
  readonly latentChannels: number;
  readonly normEps: number;
  readonly blocks: readonly DownBlockConfig[];
  readonly mid: MidBlockConfig;
};

export type VaeDecoderConfig = {
  readonly outChannels: number;
  readonly patchSize: number;
  readonly causal: boolean;
  readonly latentChannels: number;
  readonly normEps: number;
  readonly timestepConditioning: boolean;
  /** In the order they run, widest first. */
  readonly blocks: readonly UpBlockConfig[];
  readonly mid: MidBlockConfig;
};

export type VaeConfig = {
  readonly latentChannels: number;
  readonly scalingFactor: number;
  /** Pixels of height or width in one latent cell. */
  readonly spatialCompression: number;
  /** Frames in one latent frame, except the first, which is a latent frame of its own. */
  readonly temporalCompression: number;
  /** Whether decoding needs a decode timestep. */
  readonly timestepConditioning: boolean;
  readonly encoder: VaeEncoderConfig;
  readonly decoder: VaeDecoderConfig;
};

/** Stride of each kind of downsampling, in (time, height, width). */
export const downsampleStride: Readonly<Record<Downsample, readonly [number, number, number]>> = {
  none: [1, 1, 1],
  conv: [2, 2, 2],
  spatial: [1, 2, 2],
  temporal: [2, 1, 1],
  spatiotemporal: [2, 2, 2],
};

/** Factors of every upsampler, in (time, height, width). */
export const upsampleStride: readonly [number, number, number] = [2, 2, 2];

/**
 * Reads `vae/config.json`.
 *
 * @throws ConfigError when a field is missing, lists differ in length, or widths cannot be folded
 */
export function parseVaeConfig(fields: ConfigFields): VaeConfig {
  fields.oneOf("patch_size_t", [1], 1);
  const latentChannels = fields.count("latent_channels", 128);
  const encoder = parseEncoder(fields, latentChannels);
  const decoder = parseDecoder(fields, latentChannels);
  const shrink = (axis: 0 | 1): number =>
    encoder.blocks.reduce((product, block) => product * downsampleStride[block.downsample][axis], 1);
  const grow = 2 ** decoder.blocks.filter((block) => block.upsample).length;
  const spatialCompression = encoder.patchSize * shrink(1);
  const temporalCompression = shrink(0);
  if (grow !== shrink(0) || grow !== shrink(1)) {
    const got = `a decoder that enlarges ${grow} times`;
    const expected = `as much as the encoder shrinks (time ${shrink(0)}, space ${shrink(1)} after patches)`;
    throw new ConfigError(`${fields.where}, decoder_spatio_temporal_scaling`, got, expected);
  }
  // The reference doubles the ratio per scaling block of any kind, so the file of 0.9.5 states the true ratios.
  requireRatio(fields, "spatial_compression_ratio", spatialCompression);
  requireRatio(fields, "temporal_compression_ratio", temporalCompression);
  return {
    latentChannels,
    scalingFactor: fields.number("scaling_factor", 1),
    spatialCompression,
    temporalCompression,
    timestepConditioning: decoder.timestepConditioning,
    encoder,
    decoder,
  };
}

function parseEncoder(fields: ConfigFields, latentChannels: number): VaeEncoderConfig {
  const widths = fields.counts("block_out_channels", [128, 256, 512, 512]);
  const types = fields.strings("down_block_types", Array(4).fill(stridedBlock));
  const folds = types.at(-1) === foldingBlock;
  // Folding blocks widen to the next entry. Strided ones have an entry each, and the last keeps its width.
  const count = folds ? widths.length - 1 : widths.length;
  const oneEach = makeLengthCheck(fields, count);
  oneEach("down_block_types", types);
  const odd = types.find((type) => type !== (folds ? foldingBlock : stridedBlock));
  if (odd !== undefined) {
    const expected = `${stridedBlock} or ${foldingBlock}, the same for every block`;
    throw new ConfigError(`${fields.where}, down_block_types`, odd, expected);
  }
  const scaling = oneEach(
    "spatio_temporal_scaling",
    fields.booleans("spatio_temporal_scaling", releasedScaling),
  );
  const kinds = oneEach("downsample_type", fields.strings("downsample_type", Array(count).fill("conv")));
  const resnets = makeLengthCheck(fields, count + 1)(
    "layers_per_block",
    fields.counts("layers_per_block", releasedLayers, 0),
  );
  const blocks = scaling.map((scales, i): DownBlockConfig => {
    const inChannels = widths[i]!;
    const outChannels = widths[i + 1] ?? widths[i]!;
    const downsample = scales ? (folds ? downsampleKind(fields, kinds[i]!) : "conv") : "none";
    const block = { inChannels, outChannels, resnets: resnets[i]!, downsample } satisfies DownBlockConfig;
    if (folds) requireFoldable(fields, block);
    return block;
  });
  return {
    inChannels: fields.count("in_channels", 3),
    patchSize: fields.count("patch_size", 4),
    causal: fields.boolean("encoder_causal", true),
    latentChannels,
    normEps: fields.number("resnet_norm_eps", 1e-6),
    blocks,
    mid: { channels: blocks.at(-1)!.outChannels, resnets: resnets.at(-1)!, injectNoise: false },
  };
}

function parseDecoder(fields: ConfigFields, latentChannels: number): VaeDecoderConfig {
  const widths = fields.counts("decoder_block_out_channels", [128, 256, 512, 512]).toReversed();
  const count = widths.length;
  const oneEach = makeLengthCheck(fields, count);
  const oneEachAndMid = makeLengthCheck(fields, count + 1);
  const inwards = <T>(list: readonly T[]): readonly T[] => list.toReversed();
  const scalingName = "decoder_spatio_temporal_scaling";
  const scaling = inwards(oneEach(scalingName, fields.booleans(scalingName, releasedScaling)));
  const residual = inwards(
    oneEach("upsample_residual", fields.booleans("upsample_residual", Array(count).fill(false))),
  );
  const factors = inwards(oneEach("upsample_factor", fields.counts("upsample_factor", Array(count).fill(1))));
  const layersName = "decoder_layers_per_block";
  const resnets = inwards(oneEachAndMid(layersName, fields.counts(layersName, releasedLayers, 0)));
  const noiseName = "decoder_inject_noise";
  const noise = inwards(oneEachAndMid(noiseName, fields.booleans(noiseName, Array(count + 1).fill(false))));
  const timestepConditioning = fields.boolean("timestep_conditioning", false);
  let inChannels = widths[0]!;
  const blocks = widths.map((width, i): UpBlockConfig => {
    const block: UpBlockConfig = {
      inChannels,
      outChannels: width / factors[i]!,
      resnets: resnets[i + 1]!,
      upsample: scaling[i]!,
      residual: residual[i]!,
      upsampleFactor: factors[i]!,
      injectNoise: noise[i + 1]!,
    };
    requireUnfoldable(fields, block, timestepConditioning);
    inChannels = block.outChannels;
    return block;
  });
  return {
    outChannels: fields.count("out_channels", 3),
    patchSize: fields.count("patch_size", 4),
    causal: fields.boolean("decoder_causal", false),
    latentChannels,
    normEps: fields.number("resnet_norm_eps", 1e-6),
    timestepConditioning,
    blocks,
    mid: { channels: widths[0]!, resnets: resnets[0]!, injectNoise: noise[0]! },
  };
}

const stridedBlock = "LTXVideoDownBlock3D";
const foldingBlock = "LTXVideo095DownBlock3D";
// The defaults of the reference class, which are the values of 0.9.0.
const releasedScaling = [true, true, true, false];
const releasedLayers = [4, 3, 3, 3, 4];

function downsampleKind(fields: ConfigFields, kind: string): Downsample {
  if (kind === "conv" || kind === "spatial" || kind === "temporal" || kind === "spatiotemporal") return kind;
  throw new ConfigError(
    `${fields.where}, downsample_type`,
    kind,
    "conv, spatial, temporal or spatiotemporal",
  );
}

/** Makes a check that a list has `count` entries. */
function makeLengthCheck(
  fields: ConfigFields,
  count: number,
): <T>(name: string, list: readonly T[]) => readonly T[] {
  return (name, list) => {
    if (list.length === count) return list;
    throw new ConfigError(
      `${fields.where}, ${name}`,
      `${list.length} entries`,
      `${count}, to match the block widths`,
    );
  };
}

function requireRatio(fields: ConfigFields, name: string, actual: number): void {
  if (!fields.has(name) || fields.count(name) === actual) return;
  throw new ConfigError(
    `${fields.where}, ${name}`,
    `${fields.raw(name)}`,
    `${actual}, the ratio of the blocks`,
  );
}

/** A folding block changes width only in its downsampler, where both branches need whole numbers of channels. */
function requireFoldable(fields: ConfigFields, block: DownBlockConfig): void {
  const { inChannels, outChannels, downsample } = block;
  const cells = downsampleStride[downsample].reduce((product, step) => product * step, 1);
  const folds = downsample !== "none" && downsample !== "conv";
  const whole = (inChannels * cells) % outChannels === 0 && outChannels % cells === 0;
  if (folds ? whole : inChannels === outChannels) return;
  const got = `${inChannels} to ${outChannels} channels with downsampling ${downsample}`;
  const expected = folds
    ? `a width divisible by ${cells} that divides ${inChannels * cells}`
    : "an unchanged width";
  throw new ConfigError(`${fields.where}, block_out_channels`, got, expected);
}

function requireUnfoldable(fields: ConfigFields, block: UpBlockConfig, timestepConditioning: boolean): void {
  const { inChannels, outChannels, upsampleFactor: factor } = block;
  const cells = upsampleStride.reduce((product, step) => product * step, 1);
  const refuse = (name: string, got: string, expected: string): never => {
    throw new ConfigError(`${fields.where}, ${name}`, got, expected);
  };
  const widths = `${inChannels} to ${outChannels} channels with factor ${factor}`;
  if (!Number.isInteger(outChannels) || cells % factor !== 0) {
    refuse("upsample_factor", widths, `a divisor of ${cells} and of the width`);
  }
  if (factor > 1 && (!block.upsample || inChannels !== outChannels * factor)) {
    refuse("upsample_factor", widths, "upsampling that narrows by exactly the factor");
  }
  if (block.upsample && block.residual && (outChannels * factor) % cells !== 0) {
    refuse("upsample_residual", widths, `an incoming width divisible by ${cells}`);
  }
  if (factor === 1 && inChannels !== outChannels && (timestepConditioning || block.injectNoise)) {
    // The reference would pass the raw timestep, and noise scales of the wrong width, to its conv_in resnet.
    refuse(
      "decoder_block_out_channels",
      widths,
      "no change of width outside upsamplers, with timestep or noise",
    );
  }
}
