/**
 * What a video file says about itself, by ffprobe. Its word on lengths is not trusted: frames are counted by decoding.
 */
import { AppError, type Size } from "@ltx-trainer/contract";
import { firstComplaint, inputArguments, runTool } from "./ffmpeg.ts";

export type VideoInfo = {
  /** Index of the stream in the file; cover pictures are not counted as video. */
  readonly stream: number;
  readonly codec: string;
  /** Pixels as displayed: after rotation and with square pixels. */
  readonly width: number;
  readonly height: number;
  /** Frames per second as stored, on average; undefined when the file does not say. */
  readonly frameRate: number | undefined;
  /** As the file claims; undefined when it does not. */
  readonly durationSeconds: number | undefined;
  /** From the start of the file to its first video frame. */
  readonly offsetSeconds: number;
  readonly interlaced: boolean;
  readonly hasAlpha: boolean;
  /** Stored as brightness and colour differences, as nearly all video is. */
  readonly isYuv: boolean;
  /** High dynamic range (PQ or HLG). */
  readonly hdr: boolean;
  /** Whether the file names its YUV matrix. */
  readonly namesMatrix: boolean;
};

/** ffprobe's JSON: every field may be missing. */
type Stream = {
  readonly index: number;
  readonly codec_type?: string;
  readonly codec_name?: string;
  readonly width?: number;
  readonly height?: number;
  readonly pix_fmt?: string;
  readonly sample_aspect_ratio?: string;
  readonly avg_frame_rate?: string;
  readonly field_order?: string;
  readonly color_space?: string;
  readonly color_transfer?: string;
  readonly start_time?: string;
  readonly duration?: string;
  readonly disposition?: { readonly attached_pic?: number };
  readonly tags?: { readonly rotate?: string };
  readonly side_data_list?: readonly { readonly rotation?: number }[];
};
type Format = { readonly duration?: string; readonly start_time?: string };
type Answer = { readonly streams?: readonly Stream[]; readonly format?: Format };

const entries = [
  "stream=index,codec_type,codec_name,width,height,pix_fmt,sample_aspect_ratio,avg_frame_rate",
  "stream=field_order,color_space,color_transfer,start_time,duration",
  "stream_disposition=attached_pic",
  "stream_tags=rotate",
  "stream_side_data=rotation",
  "format=duration,start_time",
].join(":");

/**
 * Reads the head of a video file.
 *
 * @param name how the file is called in messages
 * @throws AppError `media_unreadable` when it is no video
 */
export async function probeVideo(path: string, name: string, signal?: AbortSignal): Promise<VideoInfo> {
  const pieces: Uint8Array[] = [];
  const args = ["-v", "error", "-of", "json", "-show_entries", entries, ...inputArguments(path)];
  const result = await runTool("ffprobe", args, {
    what: name,
    timeoutMs: 60_000,
    signal,
    onOutput: (piece) => pieces.push(piece),
  });
  if (result.exitCode !== 0)
    throw unreadable(name, firstComplaint(result.errors) || "ffprobe cannot open it");
  const answer = JSON.parse(Buffer.concat(pieces).toString("utf8")) as Answer;
  const video = answer.streams?.find(
    (item) => item.codec_type === "video" && item.disposition?.attached_pic !== 1,
  );
  if (video === undefined) throw unreadable(name, "it has no video in it");
  if (!video.width || !video.height) throw unreadable(name, "its picture size is unknown");
  return describe(video, displaySize(video, video.width, video.height), answer.format ?? {});
}

function describe(video: Stream, size: Size, format: Format): VideoInfo {
  return {
    ...size,
    stream: video.index,
    codec: video.codec_name ?? "unknown",
    frameRate: fraction(video.avg_frame_rate, "/"),
    durationSeconds: seconds(video.duration) ?? seconds(format.duration),
    offsetSeconds: Math.max(0, (seconds(video.start_time) ?? 0) - (seconds(format.start_time) ?? 0)),
    interlaced: ["tt", "bb", "tb", "bt"].includes(video.field_order ?? ""),
    hasAlpha: /^(yuva|rgba|bgra|argb|abgr|gbrap|ya)/.test(video.pix_fmt ?? ""),
    isYuv: /^(yuv|nv|p0|p2|p4|y2|uyvy|yvyu)/.test(video.pix_fmt ?? ""),
    hdr: ["smpte2084", "arib-std-b67"].includes(video.color_transfer ?? ""),
    namesMatrix: (video.color_space ?? "unknown") !== "unknown",
  };
}

/** As displayed: pixels made square, then turned. */
function displaySize(video: Stream, storedWidth: number, height: number): Size {
  const aspect = fraction(video.sample_aspect_ratio, ":") ?? 1;
  const width = Math.max(1, Math.round(storedWidth * aspect));
  const rotation = video.side_data_list?.find((item) => item.rotation !== undefined)?.rotation;
  const degrees = Math.abs(rotation ?? Number(video.tags?.rotate ?? 0)) % 180;
  return degrees > 45 && degrees < 135 ? { width: height, height: width } : { width, height };
}

/** Undefined for 0/0, N/A and the like. */
function fraction(text: string | undefined, separator: string): number | undefined {
  const [above, below] = (text ?? "").split(separator).map(Number);
  const value = (above ?? 0) / (below ?? 0);
  return Number.isFinite(value) && value > 0 ? value : undefined;
}

function seconds(text: string | undefined): number | undefined {
  const value = Number(text);
  return text !== undefined && Number.isFinite(value) ? value : undefined;
}

/** A media file that cannot be used; the others go on without it. */
export function unreadable(name: string, reason: string, cause?: unknown): AppError {
  return new AppError({
    code: "media_unreadable",
    message: `${name}: ${reason}`,
    facts: { file: name, reason },
    cause,
  });
}
