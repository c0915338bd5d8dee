/**
 * What a video file says about itself, by ffprobe. Its word on lengths is not trusted: frames are counted by decoding.
 */
import { AppError, type Size } from "@ltx-trainer/contract";
import { ffmpegThreads, firstComplaint, hasDecoder, inputArguments, runTool } from "./ffmpeg.ts";

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
  /** Of the file's first frame, where its claim on the length counts from 0 instead. */
  readonly startSeconds: number;
  readonly interlaced: boolean;
  readonly hasAlpha: boolean;
  /** The decoder to ask for; undefined: ffmpeg's own choice. */
  readonly decoder: string | undefined;
  /** It has transparency that this ffmpeg cannot read. */
  readonly losesAlpha: boolean;
  /** Turned or mirrored by the container. */
  readonly turned: boolean;
  /** Stored as brightness and colour differences, as nearly all video is. */
  readonly isYuv: boolean;
  /** High dynamic range (PQ or HLG). */
  readonly hdr: boolean;
  /** Whether the file names its YUV matrix. */
  readonly namesMatrix: boolean;
  /** Primaries wider than BT.709's, with standard dynamic range: what ffmpeg calls them. */
  readonly widePrimaries: string | undefined;
  /** Whether it can be entered at a time of choice; else ffmpeg guesses by bytes. */
  readonly hasIndex: boolean;
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
  readonly color_primaries?: string;
  readonly color_transfer?: string;
  readonly start_time?: string;
  readonly duration?: string;
  readonly disposition?: { readonly attached_pic?: number; readonly default?: number };
  readonly tags?: { readonly rotate?: string; readonly alpha_mode?: string };
  readonly side_data_list?: readonly { readonly rotation?: number }[];
};
type Format = { readonly format_name?: string; readonly duration?: string; readonly start_time?: string };
type Frame = { readonly stream_index?: number; readonly interlaced_frame?: number };
type Answer = {
  readonly streams?: readonly Stream[];
  readonly format?: Format;
  readonly frames?: readonly Frame[];
};

const entries = [
  "stream=index,codec_type,codec_name,width,height,pix_fmt,sample_aspect_ratio,avg_frame_rate",
  "stream=field_order,color_space,color_primaries,color_transfer,start_time,duration",
  "stream_disposition=attached_pic,default",
  "stream_tags=rotate,alpha_mode",
  "stream_side_data=rotation",
  "format=format_name,duration,start_time",
  "frame=stream_index,interlaced_frame",
].join(":");

/** DV and ProRes say in their frames alone that they are interlaced, so some are decoded. */
const firstFrames = ["-select_streams", "v", "-read_intervals", "%+#4", "-threads", String(ffmpegThreads)];

/**
 * Reads the head of a video file.
 *
 * @param name how the file is called in messages
 * @throws AppError `media_unreadable` when it is no video
 */
export async function probeVideo(path: string, name: string, signal?: AbortSignal): Promise<VideoInfo> {
  const pieces: Uint8Array[] = [];
  const args = ["-of", "json", "-show_entries", entries, ...firstFrames, ...inputArguments(path)];
  const result = await runTool("ffprobe", args, {
    what: name,
    timeoutMs: 60_000,
    signal,
    onOutput: (piece) => pieces.push(piece),
  });
  if (result.exitCode !== 0)
    throw unreadable(name, firstComplaint(result.errors) || "ffprobe cannot open it");
  const answer = parseAnswer(Buffer.concat(pieces).toString("utf8"), name);
  const video = chooseStream(answer.streams ?? []);
  if (video === undefined) throw unreadable(name, "it has no video in it");
  if (!video.width || !video.height) throw unreadable(name, "its picture size is unknown");
  const info = describe(video, displaySize(video, video.width, video.height), answer);
  const canDecode = info.decoder === undefined || (await hasDecoder(info.decoder));
  return canDecode ? info : { ...info, decoder: undefined, hasAlpha: false, losesAlpha: true };
}

/** The default stream, then the largest, then the first: cameras store a small preview beside the recording. */
function chooseStream(streams: readonly Stream[]): Stream | undefined {
  const videos = streams.filter(
    (item) => item.codec_type === "video" && item.disposition?.attached_pic !== 1,
  );
  const areaOf = ({ width = 0, height = 0 }: Stream) => width * height;
  const isDefault = ({ disposition }: Stream) => disposition?.default ?? 0;
  return videos.toSorted((a, b) => isDefault(b) - isDefault(a) || areaOf(b) - areaOf(a))[0];
}

function parseAnswer(text: string, name: string): Answer {
  try {
    return JSON.parse(text) as Answer;
  } catch (cause) {
    throw unreadable(name, "ffprobe cannot describe it", cause);
  }
}

function describe(video: Stream, size: Size, { format = {}, frames = [] }: Answer): VideoInfo {
  const container = format.format_name ?? "";
  const alphaDecoder = video.tags?.alpha_mode === "1" ? alphaDecoders[video.codec_name ?? ""] : undefined;
  return {
    ...size,
    stream: video.index,
    codec: video.codec_name ?? "unknown",
    frameRate: fraction(video.avg_frame_rate, "/"),
    durationSeconds: seconds(video.duration) ?? seconds(format.duration),
    offsetSeconds: Math.max(0, (seconds(video.start_time) ?? 0) - (seconds(format.start_time) ?? 0)),
    // Matroska's length is the time at which it ends.
    startSeconds: container.includes("matroska") ? Math.max(0, seconds(format.start_time) ?? 0) : 0,
    interlaced:
      ["tt", "bb", "tb", "bt"].includes(video.field_order ?? "") ||
      frames.some((frame) => frame.stream_index === video.index && frame.interlaced_frame === 1),
    hasAlpha:
      alphaDecoder !== undefined ||
      /^(yuva|rgba|bgra|argb|abgr|gbrap|ya)/.test(video.pix_fmt ?? "") ||
      (video.codec_name === "apng" && video.pix_fmt === "pal8"),
    decoder: alphaDecoder,
    losesAlpha: false,
    turned: video.side_data_list?.some((item) => item.rotation !== undefined) ?? false,
    isYuv: /^(yuv|nv|p0|p2|p4|y2|uyvy|yvyu)/.test(video.pix_fmt ?? ""),
    hdr: isHdr(video),
    namesMatrix: (video.color_space ?? "unknown") !== "unknown",
    widePrimaries: isHdr(video) ? undefined : widePrimaries.find((name) => name === video.color_primaries),
    hasIndex: !/mpeg|flv|ogg|dv/.test(container),
  };
}

/** The decoders that ffmpeg prefers leave out the transparency of WebM, which is a stream of its own. */
const alphaDecoders: Readonly<Record<string, string>> = { vp8: "libvpx", vp9: "libvpx-vp9" };

const widePrimaries = ["bt2020", "smpte431", "smpte432"];

function isHdr(video: Stream): boolean {
  return ["smpte2084", "arib-std-b67"].includes(video.color_transfer ?? "");
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
