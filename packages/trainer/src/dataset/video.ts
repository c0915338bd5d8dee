/**
 * Video files: counting the frames they really hold, and decoding stretches of them as RGB.
 *
 * Idea: one clock. The first video frame is time 0; output frame k shows what is on screen at k / rate. Counting and
 * decoding run the same filters, so a window that was planned can be loaded, whatever the container claims.
 * Resizing is swscale's bicubic; its filter widens with the scale when shrinking, so it is antialiased.
 *
 * Shapes: pixels are `[f, h, w, 3]`, one byte each.
 */
import { ffmpegThreads, firstComplaint, inputArguments, runTool } from "./ffmpeg.ts";
import { unreadable, type VideoInfo } from "./probe.ts";

/** A file, and what was learnt about it. */
export type VideoFile = { readonly path: string; readonly name: string; readonly info: VideoInfo };

/** How frames are taken from a file. `frameRate` undefined: as stored. */
export type Clock = { readonly frameRate: number | undefined };

export type FrameCount = {
  readonly frames: number;
  /** What ffmpeg complained about on the way; "" when nothing. */
  readonly complaint: string;
};

const countTimeoutMs = 60 * 60_000;
const decodeTimeoutMs = 20 * 60_000;

/** Below this many seconds into a file, decoding from its start is as quick as a seek. */
const seekFromSeconds = 20;
/** A seek lands this much before the window, so that the frame on screen at its start is known. */
const seekMarginSeconds = 2;

/**
 * Decodes the whole file and counts its frames on the given clock.
 *
 * @throws AppError `media_unreadable` when not one frame comes out
 */
export async function countFrames(file: VideoFile, clock: Clock, signal?: AbortSignal): Promise<FrameCount> {
  let report = "";
  const args = [
    ...common,
    ...inputArguments(file.path),
    ...["-map", `0:${file.info.stream}`, "-vf", timeFilters(file.info, clock).join(",")],
    ...(clock.frameRate === undefined ? [] : ["-frames:v", String(frameLimit(file.info, clock.frameRate))]),
    ...["-f", "null", "-progress", "pipe:1", "-"],
  ];
  const result = await runTool("ffmpeg", args, {
    what: file.name,
    timeoutMs: countTimeoutMs,
    signal,
    // Only the last report counts; earlier ones are dropped as they come.
    onOutput: (piece) => {
      report = (report + Buffer.from(piece).toString("latin1")).slice(-2000);
    },
  });
  const frames = Number(/.*^frame=\s*(\d+)/ms.exec(report)?.[1] ?? 0);
  const complaint = firstComplaint(result.errors);
  if (frames === 0) throw unreadable(file.name, complaint || "not one frame can be decoded");
  return { frames, complaint };
}

/** One broken timestamp makes a fixed rate repeat a frame for hours: never more than the file says it lasts, plus a second. */
function frameLimit(info: VideoInfo, frameRate: number): number {
  const seconds = info.durationSeconds ?? 24 * 3600;
  return Math.ceil((seconds + 1) * frameRate);
}

export type DecodeRequest = {
  readonly clock: Clock;
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  /** First frame, on the clock. */
  readonly start: number;
  /** Frames of the whole clip, all of which are time-scaled to `frames`; undefined: no time-scaling. */
  readonly scaledFrom?: number | undefined;
};

/**
 * Decodes a stretch of a file, scaled to cover the size and cropped at the centre.
 *
 * @throws AppError `media_unreadable` when fewer frames come out than were asked for
 */
export async function decodeVideo(
  file: VideoFile,
  request: DecodeRequest,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const seek = seekPoint(request);
  const first = await decodeFrom(file, request, seek, signal);
  if (first.complete) return first.pixels;
  // Some files cannot be entered in the middle. Counting read them from the start, so that works.
  const again = seek === 0 ? first : await decodeFrom(file, request, 0, signal);
  if (again.complete) return again.pixels;
  const missing = `${again.frames} of ${request.frames} frames could be decoded`;
  throw unreadable(file.name, again.complaint === "" ? missing : `${missing}: ${again.complaint}`);
}

type Decoded = {
  readonly pixels: Uint8Array;
  readonly frames: number;
  readonly complete: boolean;
  readonly complaint: string;
};

async function decodeFrom(
  file: VideoFile,
  request: DecodeRequest,
  seek: number,
  signal?: AbortSignal,
): Promise<Decoded> {
  const { frames, width, height } = request;
  const frameBytes = width * height * 3;
  const pixels = new Uint8Array(frames * frameBytes);
  let filled = 0;
  const result = await runTool("ffmpeg", decodeArguments(file, request, seek), {
    what: file.name,
    timeoutMs: decodeTimeoutMs,
    signal,
    onOutput: (piece) => {
      const fitting = piece.subarray(0, pixels.length - filled);
      pixels.set(fitting, filled);
      filled += fitting.length;
    },
  });
  return {
    pixels,
    frames: Math.floor(filled / frameBytes),
    complete: filled === pixels.length,
    complaint: firstComplaint(result.errors),
  };
}

/** The frame of the clock at which decoding enters the file; 0 is its start. */
function seekPoint({ clock, start, scaledFrom }: DecodeRequest): number {
  if (clock.frameRate === undefined || scaledFrom !== undefined) return 0;
  if (start < seekFromSeconds * clock.frameRate) return 0;
  return start - Math.ceil(seekMarginSeconds * clock.frameRate);
}

function decodeArguments(file: VideoFile, request: DecodeRequest, seek: number): string[] {
  const { info } = file;
  const rate = request.clock.frameRate ?? info.frameRate ?? 25;
  const seekSeconds = info.offsetSeconds + seek / rate;
  const filters = [
    ...timeFilters(info, request.clock, { seeked: seek > 0, request }),
    ...windowFilters(request, seek),
    // Frames leave at a constant rate, so that ffmpeg neither repeats nor drops one on output.
    `setpts=N/(${rate}*TB)`,
    ...coverFilters(info, request),
  ];
  return [
    ...common,
    ...(seek > 0 ? ["-ss", seekSeconds.toFixed(6)] : []),
    ...inputArguments(file.path),
    ...["-map", `0:${info.stream}`, "-vf", filters.join(","), "-r", String(rate)],
    ...["-frames:v", String(request.frames), "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"],
  ];
}

const common = ["-nostdin", "-threads", String(ffmpegThreads), "-an", "-sn", "-dn"];

type TimeContext = { readonly seeked: boolean; readonly request: DecodeRequest };

/** From stored frames to the clock: time 0 is the first frame (or the seek point), then a fixed rate. */
function timeFilters(info: VideoInfo, { frameRate }: Clock, context?: TimeContext): string[] {
  const deinterlace = info.interlaced ? ["yadif=deint=interlaced"] : [];
  const origin = context?.seeked ? "PTS" : "(PTS-STARTPTS)";
  const scaledFrom = context?.request.scaledFrom;
  const pace = scaledFrom === undefined ? "" : `*${context?.request.frames}/${scaledFrom}`;
  const fixedRate = frameRate === undefined ? [] : [`fps=${frameRate}:start_time=0:round=near`];
  return [...deinterlace, `setpts=${origin}${pace}`, ...fixedRate];
}

function windowFilters({ start, frames, scaledFrom }: DecodeRequest, seek: number): string[] {
  // Rounding may leave a time-scaled clip one frame short: its last frame stays on screen.
  if (scaledFrom !== undefined) return [`tpad=stop_mode=clone:stop=${frames}`, `trim=end_frame=${frames}`];
  return [`trim=start_frame=${start - seek}:end_frame=${start - seek + frames}`];
}

/** Scaled to cover the size, cropped at the centre, RGB. */
function coverFilters(info: VideoInfo, { width, height }: DecodeRequest): string[] {
  const aspect = `${width}/${height}`;
  const scaledWidth = `max(${width}\\,round(${height}*dar))`;
  const scaledHeight = `max(${height}\\,round(${width}/dar))`;
  const cover =
    `w='if(gt(dar\\,${aspect})\\,${scaledWidth}\\,${width})'` +
    `:h='if(gt(dar\\,${aspect})\\,${height}\\,${scaledHeight})'`;
  return [
    ...(info.hasAlpha ? ["format=gbrap", "premultiply=inplace=1"] : []),
    `scale=${cover}:flags=bicubic+accurate_rnd`,
    `crop=${width}:${height}`,
    "setsar=1",
    ...(info.isYuv && !info.hasAlpha ? rgbFilters(info) : []),
    "format=rgb24",
  ];
}

/** YUV to RGB after scaling, as a step of its own: one scaler that does both forgets the matrix when it shrinks very far. */
function rgbFilters(info: VideoInfo): string[] {
  // Untagged video: high definition is BT.709 by custom; ffmpeg would take BT.601.
  const isHighDefinition = info.width >= 1280 || info.height > 576;
  const matrix = !info.namesMatrix && isHighDefinition ? "bt709" : "auto";
  return ["format=yuv444p", `scale=in_color_matrix=${matrix}:flags=accurate_rnd+full_chroma_int`];
}
