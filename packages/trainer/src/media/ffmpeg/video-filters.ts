/**
 * The ffmpeg filters between a stored video and training pixels: time, size, colour.
 *
 * Every filter works on the frames of one size that most files have. A file that changes its size on the way keeps one
 * filter chain all the same (`-reinit_filter 0`), for a new one would start the clock again; its frames meet on a canvas.
 */
import type { Size } from "@ltx-trainer/contract";
import type { VideoInfo } from "./probe.ts";

/** A size that frames of the file have, in square pixels. */
export type FrameSize = Size;

/** A file's frames on the clock: time 0 is the first frame (or the seek point), then a fixed rate. */
export type TimeRequest = {
  /** Frames per second; undefined: as stored. */
  readonly frameRate: number | undefined;
  readonly seeked?: boolean;
  /** Time is stretched by this much. Default 1. */
  readonly pace?: string | undefined;
};

export function timeFilters(info: VideoInfo, { frameRate, seeked, pace }: TimeRequest): string[] {
  const deinterlace = info.interlaced ? ["yadif=deint=interlaced"] : [];
  const origin = seeked ? "PTS" : "(PTS-STARTPTS)";
  const stretched = pace === undefined ? "" : `*${pace}`;
  const fixedRate = frameRate === undefined ? [] : [`fps=${frameRate}:start_time=0:round=near`];
  return [...deinterlace, `setpts=${origin}${stretched}`, ...fixedRate];
}

/**
 * Scaled to cover the size, cropped at the centre, RGB.
 *
 * An odd margin cannot be halved: the crop then lies half a pixel beside the middle. The remedies are worse: to stretch
 * the picture until the margin is even, or to resample it once more.
 *
 * @param sizes all that frames of the file have; more than one when it changes on the way
 */
export function coverFilters(info: VideoInfo, size: Size, sizes: readonly FrameSize[]): string[] {
  const { width, height } = size;
  const aspect = `${width}/${height}`;
  const scaledWidth = `max(${width}\\,round(${height}*dar))`;
  const scaledHeight = `max(${height}\\,round(${width}/dar))`;
  const cover =
    `w='if(gt(dar\\,${aspect})\\,${scaledWidth}\\,${width})'` +
    `:h='if(gt(dar\\,${aspect})\\,${height}\\,${scaledHeight})'`;
  const changes = sizes.length > 1;
  return [
    ...(info.hasAlpha ? alphaFilters(info) : []),
    `scale=${cover}:flags=bicubic+accurate_rnd${changes ? ":eval=frame" : ""}`,
    ...(changes ? [canvasFilter(size, sizes)] : []),
    `crop=${width}:${height}`,
    "setsar=1",
    ...(info.isYuv && !info.hasAlpha ? rgbFilters(info) : []),
    "format=rgb24",
  ];
}

/** Large enough for every size; `crop` finds the middle of the first one only. */
function canvasFilter({ width, height }: Size, sizes: readonly FrameSize[]): string {
  const aspects = sizes.map((size) => size.width / size.height);
  const canvasWidth = Math.ceil(Math.max(width, height * Math.max(...aspects))) + 2;
  const canvasHeight = Math.ceil(Math.max(height, width / Math.min(...aspects))) + 2;
  return `pad=${canvasWidth}:${canvasHeight}:(ow-iw)/2:(oh-ih)/2:eval=frame`;
}

/** What is transparent is black, before colours of hidden pixels are mixed in by scaling. */
function alphaFilters(info: VideoInfo): string[] {
  const matrix = info.isYuv
    ? [`scale=in_color_matrix=${matrixOf(info)}:flags=accurate_rnd+full_chroma_int`]
    : [];
  return [...matrix, "format=gbrap", "premultiply=inplace=1"];
}

/** YUV to RGB after scaling, as a step of its own: one scaler that does both forgets the matrix when it shrinks very far. */
function rgbFilters(info: VideoInfo): string[] {
  const toRgb = `scale=in_color_matrix=${matrixOf(info)}:flags=accurate_rnd+full_chroma_int`;
  return [...primariesFilters(info), "format=yuv444p", toRgb];
}

/** Wide gamut to BT.709's colours. What lies outside of them is clipped. */
function primariesFilters({ widePrimaries, namesMatrix }: VideoInfo): string[] {
  if (widePrimaries === undefined) return [];
  const matrix = namesMatrix ? "" : `:ispace=${widePrimaries === "bt2020" ? "bt2020ncl" : "bt709"}`;
  const from = `iprimaries=${widePrimaries}:itrc=bt709${matrix}`;
  return ["format=yuv444p10", `colorspace=all=bt709:${from}:format=yuv444p`];
}

/**
 * The matrix of a file that names none: BT.709 for high definition, by custom, else BT.601, which ffmpeg would take for
 * all. High definition has a side of at least 1280 pixels or as many pixels as 1280x720, so that tall video of phones
 * counts, films with bars cut off (1280x536) too, and the 540x960 and 640x640 that scripts write with ffmpeg's BT.601
 * do not.
 */
function matrixOf({ namesMatrix, width, height }: VideoInfo): string {
  const isHighDefinition = Math.max(width, height) >= 1280 || width * height >= 1280 * 720;
  return !namesMatrix && isHighDefinition ? "bt709" : "auto";
}
