/**
 * Clips to latents and captions to embeddings, one big model in memory at a time.
 *
 * Shapes: B batch, C channels, F H W latent frames, height, width, f h w pixel frames, height, width, L text tokens.
 */
import {
  type BaseModel,
  type LatentGrid,
  latentGrid,
  type PromptEmbedding,
  type VideoVae,
} from "@ltx-trainer/ltx";
import { Generator, keep, noGrad, scope, type Tensor, type TensorInfo, tensor } from "@ltx-trainer/torch";
import type { Excerpt, Sample } from "../dataset/types.ts";
import { type Placement, releaseModel } from "../models/device.ts";
import type { Reporter } from "../process/events.ts";
import { stopIfAsked } from "../process/interrupt.ts";
import { seedFor } from "../process/seeds.ts";
import { stoppable } from "../process/stop-file.ts";
import { fileFailure } from "../source/file-failure.ts";
import { CacheStore } from "./store.ts";

/** One sample as the training loop takes it. */
export type EncodedSample = {
  readonly id: string;
  readonly caption: string;
  readonly frameRate: number;
  readonly grid: LatentGrid;
  /** Normalised latents, in the VAE's type, on the CPU. */
  readonly latents_1CFHW: Tensor;
  /** The same of the reference video, when the training has them. */
  readonly reference_1CFHW?: Tensor | undefined;
};

export type EncodeContext = {
  readonly base: BaseModel;
  readonly baseHash: string;
  readonly placement: Placement;
  readonly store: CacheStore;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
};

/** What became of the samples of a dataset. */
export type EncodedSamples = {
  readonly samples: readonly EncodedSample[];
  /** By id, why a sample is left out: it, or its reference, could not be decoded after all. */
  readonly lost: ReadonlyMap<string, string>;
};

/** Pixels as bytes `[f, h, w, 3]` to `[1, 3, f, h, w]` in [-1, 1]. */
function pixelsFromBytes(
  bytes: Uint8Array,
  shape: { readonly frames: number; readonly height: number; readonly width: number },
): Tensor {
  return scope(() =>
    tensor(bytes)
      .reshape([1, shape.frames, shape.height, shape.width, 3])
      .permute([0, 4, 1, 2, 3])
      .to("float32")
      .mul(2 / 255)
      .sub(1)
      .contiguous(),
  );
}

/** `[1, 3, f, h, w]` in about [-1, 1] to bytes `[f, h, w, 3]`. */
export function bytesFromPixels(pixels_13fhw: Tensor): Uint8Array {
  return scope(() =>
    pixels_13fhw
      .select(0, 0)
      .permute([1, 2, 3, 0])
      .to({ dtype: "float32", device: "cpu" })
      .add(1)
      .mul(127.5)
      .clamp(0, 255)
      .round()
      .to("uint8")
      .toUint8Array(),
  );
}

/**
 * Every sample's latents, and those of its reference: those known from the cache, the others encoded with the VAE, which is loaded only then.
 *
 * The posterior is sampled once, with noise that follows from the sample's own hash. A clip that cannot be decoded is left
 * out with a warning: hours of other clips are worth more.
 */
export async function encodeSamples(
  samples: readonly Sample[],
  context: EncodeContext,
): Promise<EncodedSamples> {
  const { base, store, reporter, placement, signal } = context;
  const keyOf = (excerpt: Excerpt) =>
    CacheStore.key("latents", 1, context.baseHash, placement.dtype, excerpt.id);
  const excerpts = samples.flatMap((sample) => (sample.reference ? [sample, sample.reference] : [sample]));
  const shapeOf = (excerpt: Excerpt) => latentsInfo(excerpt, context);
  const damaged = warnOfDamage(reporter);
  const missing = excerpts.filter(
    (excerpt) => !store.has("latents", keyOf(excerpt), shapeOf(excerpt), damaged),
  );
  const total = excerpts.length;
  const unreadable = new Map<string, string>();
  reporter.phase("cache", "Encoding clips", { done: total - missing.length, total });
  if (missing.length > 0) {
    const vae = base.loadVae(placement);
    try {
      for (const [index, excerpt] of missing.entries()) {
        stopIfAsked(signal);
        const bytes = await loadOrSay(excerpt, reporter);
        if (typeof bytes === "string") unreadable.set(excerpt.id, bytes);
        else
          scope(() => {
            const latents = stoppable(signal, () => encodeClip(vae, bytes, excerpt));
            store.write("latents", keyOf(excerpt), { latents });
          });
        reporter.phase("cache", "Encoding clips", { done: total - missing.length + index + 1, total });
      }
    } finally {
      releaseModel(vae.parameters);
    }
  }
  const latentsOf = (excerpt: Excerpt) => store.read("latents", keyOf(excerpt), shapeOf(excerpt)).latents;
  const lost = lostSamples(samples, unreadable);
  const encoded = samples
    .filter(({ id }) => !lost.has(id))
    .map((sample) => ({
      id: sample.id,
      caption: sample.caption,
      frameRate: sample.frameRate,
      grid: latentGrid(sample, base.compression),
      latents_1CFHW: latentsOf(sample),
      reference_1CFHW: sample.reference && latentsOf(sample.reference),
    }));
  return { samples: encoded, lost };
}

/** Pixels, or why there are none, which is then said. */
async function loadOrSay(excerpt: Excerpt, reporter: Reporter): Promise<Uint8Array | string> {
  try {
    return await excerpt.load();
  } catch (error) {
    const reason = fileFailure(error);
    if (reason === undefined) throw error;
    reporter.warn(`a sample of ${excerpt.path} is left out: ${reason}`, { file: excerpt.path });
    return reason;
  }
}

function lostSamples(
  samples: readonly Sample[],
  unreadable: ReadonlyMap<string, string>,
): Map<string, string> {
  return new Map(
    samples.flatMap(({ id, reference }) => {
      const own = unreadable.get(id);
      if (own !== undefined) return [[id, own] as const];
      const others = reference && unreadable.get(reference.id);
      return others === undefined ? [] : [[id, `its reference ${reference?.path}: ${others}`] as const];
    }),
  );
}

/** What the cache holds of an excerpt. */
function latentsInfo(excerpt: Excerpt, { base, placement }: EncodeContext): Map<"latents", TensorInfo> {
  const { F, H, W } = latentGrid(excerpt, base.compression);
  const shape = [1, base.latentChannels, F, H, W];
  return new Map([["latents", { dtype: placement.dtype, shape }]]);
}

function warnOfDamage(reporter: Reporter) {
  return (entry: string, reason: string) =>
    reporter.warn(`cache: damaged entry removed, encoding it again: ${entry}: ${reason}`, { entry });
}

function encodeClip(vae: VideoVae, bytes: Uint8Array, excerpt: Excerpt): Tensor {
  return noGrad(() => {
    const posterior = vae.encode(pixelsFromBytes(bytes, excerpt));
    const generator = new Generator(seedFor("posterior", excerpt.id));
    const latents = vae.normalize(vae.sample(posterior, { generator })).to("cpu");
    generator.free();
    return latents;
  });
}

/** Latents of a picture (one frame) or video to sample from, normalised: `[1, C, F, H, W]` on the CPU. */
export function encodePixels(
  vae: VideoVae,
  bytes: Uint8Array,
  shape: { readonly frames: number; readonly height: number; readonly width: number },
): Tensor {
  return scope(() =>
    noGrad(() => vae.normalize(vae.mode(vae.encode(pixelsFromBytes(bytes, shape)))).to("cpu")),
  );
}

export type EmbeddingOptions = { readonly textLength: number; readonly maskTextPadding: boolean };

/** An embedding for every distinct text, by text; on the CPU, kept. The text encoder is loaded only for new ones. */
export async function encodeTexts(
  texts: readonly string[],
  options: EmbeddingOptions,
  context: EncodeContext,
): Promise<Map<string, PromptEmbedding>> {
  const { base, store, reporter, placement, signal } = context;
  const { textLength, maskTextPadding } = options;
  const distinct = [...new Set(texts)];
  const keyOf = (text: string) =>
    CacheStore.key("captions", 1, context.baseHash, placement.dtype, textLength, maskTextPadding, text);
  const expected = captionInfo(textLength, context);
  const damaged = warnOfDamage(reporter);
  const missing = distinct.filter((text) => !store.has("captions", keyOf(text), expected, damaged));
  reporter.phase("cache", "Encoding captions", {
    done: distinct.length - missing.length,
    total: distinct.length,
  });
  if (missing.length > 0) {
    const encoder = base.loadPromptEncoder(placement);
    try {
      for (const [index, text] of missing.entries()) {
        stopIfAsked(signal);
        scope(() => {
          const made = stoppable(signal, () =>
            encoder.encode(text, { length: textLength, maskPadding: maskTextPadding }),
          );
          store.write("captions", keyOf(text), {
            text: made.text_1LD.to("cpu"),
            mask: made.mask_1L.to("cpu"),
          });
        });
        const done = distinct.length - missing.length + index + 1;
        reporter.phase("cache", "Encoding captions", { done, total: distinct.length });
        await nextTurn();
      }
    } finally {
      releaseModel(encoder.parameters);
    }
  }
  return new Map(
    distinct.map((text) => {
      const { text: text_1LD, mask: mask_1L } = store.read("captions", keyOf(text), expected);
      return [text, keep({ text_1LD, mask_1L })];
    }),
  );
}

/** What the cache holds of a caption. */
function captionInfo(length: number, { base, placement }: EncodeContext): Map<"text" | "mask", TensorInfo> {
  return new Map<"text" | "mask", TensorInfo>([
    ["text", { dtype: placement.dtype, shape: [1, length, base.textWidth] }],
    ["mask", { dtype: "int64", shape: [1, length] }],
  ]);
}

/** Lets signals arrive between two pieces of synchronous work. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
