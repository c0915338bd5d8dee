/**
 * The transformer's training data: drawn scenes, encoded once by the finished VAE and shown many times, each time with
 * another caption.
 *
 * Encoding a clip costs more than a training step on it, so latents are kept (in memory, and in a file for the next
 * start). Clips of one size, length and frame rate form a group; a batch comes from one group.
 *
 * Shapes: B batch, C latent channels, F H W latent frames, height, width.
 */
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Vae } from "@ltx-trainer/ltx";
import {
  cat,
  keep,
  noGrad,
  SafetensorsFile,
  scope,
  type Tensor,
  tensor,
  writeSafetensors,
} from "@ltx-trainer/torch";
import { drawClip } from "../clips/draw.ts";
import type { Random } from "../clips/random.ts";
import type { ClipFormat } from "../clips/scene.ts";
import { toPixels } from "./batches.ts";
import { type Shown, sampleFormat, sampleShown, streamOf, type WeightedFormat } from "./curriculum.ts";

export type LatentGroup = {
  readonly format: ClipFormat;
  readonly shown: readonly Shown[];
  /** Normalised latents of all scenes: `[n,C,F,H,W]`. */
  readonly latents_BCFHW: Tensor;
};

export type PoolOptions = {
  readonly seed: number;
  /** Which of the drawing streams; see `streamOf`. */
  readonly stream: "transformer" | "images";
  readonly count: number;
  readonly formats: readonly WeightedFormat[];
  /** Where the latents are kept between starts; `tag` must change with the VAE. */
  readonly file: string;
  readonly tag: string;
  readonly onProgress?: (done: number) => void;
};

/** Frames encoded at once, in clips of one format. */
const framesPerEncoding = 100;

export class LatentPool {
  readonly groups: readonly LatentGroup[];

  private constructor(groups: readonly LatentGroup[]) {
    this.groups = groups;
  }

  /** Loads the pool that was made with the same options and the same VAE, or makes it. */
  static open(vae: Vae, options: PoolOptions): LatentPool {
    const drawn = drawScenes(options);
    const name = (format: ClipFormat): string => groupName(format);
    const latents = readLatents(options) ?? encodeAll(vae, drawn, options);
    const groups = [...drawn.values()].map(({ format, shown }) => ({
      format,
      shown,
      latents_BCFHW: latents.get(name(format))!,
    }));
    return new LatentPool(groups);
  }

  /** A group by lot, in proportion to its clips, of those whose clips have at most so many frames. */
  pickGroup(random: Random, mostFrames: number): LatentGroup {
    const groups = this.groups.filter(({ format }) => format.frames <= mostFrames);
    const total = groups.reduce((sum, group) => sum + group.shown.length, 0);
    let left = random.next() * total;
    for (const group of groups) {
      left -= group.shown.length;
      if (left < 0) return group;
    }
    return groups[groups.length - 1]!;
  }
}

/** Scenes of a group and their latents, picked by lot with repetition. */
export function pickBatch(
  group: LatentGroup,
  size: number,
  random: Random,
): { shown: readonly Shown[]; latents_BCFHW: Tensor } {
  const picked = Array.from({ length: size }, () => random.integer(0, group.shown.length));
  const index = tensor(picked, { dtype: "int64" });
  return {
    shown: picked.map((at) => group.shown[at]!),
    latents_BCFHW: group.latents_BCFHW.indexSelect(0, index),
  };
}

type DrawnGroup = { readonly format: ClipFormat; readonly shown: Shown[] };

function groupName({ width, height, frames, fps }: ClipFormat): string {
  return `${width}x${height}x${frames}@${fps}`;
}

function drawScenes(options: PoolOptions): Map<string, DrawnGroup> {
  const groups = new Map<string, DrawnGroup>();
  for (let index = 0; index < options.count; index++) {
    const random = streamOf(options.seed, options.stream, index);
    const format = sampleFormat(random, options.formats);
    const group = groups.get(groupName(format)) ?? { format, shown: [] };
    groups.set(groupName(format), group);
    group.shown.push(sampleShown(random, format));
  }
  return groups;
}

function readLatents(options: PoolOptions): Map<string, Tensor> | undefined {
  if (!existsSync(options.file)) return undefined;
  const file = SafetensorsFile.open(options.file);
  try {
    if (file.metadata.tag !== options.tag) return undefined;
    return new Map(file.names().map((name) => [name, keep(scope(() => file.tensor(name).clone()))]));
  } finally {
    file.close();
  }
}

function encodeAll(
  vae: Vae,
  groups: ReadonlyMap<string, DrawnGroup>,
  options: PoolOptions,
): Map<string, Tensor> {
  const latents = new Map<string, Tensor>();
  let done = 0;
  for (const [name, { format, shown }] of groups) {
    const parts: Tensor[] = [];
    const atOnce = Math.ceil(framesPerEncoding / format.frames);
    for (let start = 0; start < shown.length; start += atOnce) {
      const clips = shown
        .slice(start, start + atOnce)
        .map(({ scene, style }) => drawClip(scene, format, style?.draw));
      const encoded = noGrad(() => scope(() => vae.normalize(vae.encode(toPixels(clips)).mean_BCFHW)));
      parts.push(encoded);
      done += clips.length;
      options.onProgress?.(done);
    }
    latents.set(name, keep(cat(parts, 0)));
    for (const part of parts) part.free();
  }
  mkdirSync(dirname(options.file), { recursive: true });
  writeSafetensors(options.file, latents, { tag: options.tag });
  return latents;
}
