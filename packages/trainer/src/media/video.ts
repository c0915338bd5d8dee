/**
 * Video files: looking at the frames they really hold, and decoding stretches of them as RGB.
 *
 * Idea: one clock. The first video frame is time 0; output frame k shows what is on screen in its middle, at
 * (k + 0.5) / rate. Looking and decoding run the same filters, so a window that was planned can be loaded, whatever the
 * container claims. Resizing is swscale's bicubic; its filter widens with the scale when shrinking, so it is antialiased.
 *
 * Shapes: pixels are `[f, h, w, 3]`, one byte each.
 */
import { existsSync } from "node:fs";
import { removedMeanwhile } from "../source/file-failure.ts";
import { ffmpegThreads, firstComplaint, inputArguments, type RunResult, runTool } from "./ffmpeg/ffmpeg.ts";
import { readPacketTimes } from "./ffmpeg/packet-times.ts";
import { unreadable, type VideoInfo } from "./ffmpeg/probe.ts";
import { coverFilters, type FrameSize, timeFilters } from "./ffmpeg/video-filters.ts";

/** A file, and what was learnt about it. */
export type VideoFile = {
  readonly path: string;
  readonly name: string;
  readonly info: VideoInfo;
  /** All that its frames have; more than one when it changes on the way. */
  readonly sizes?: readonly FrameSize[];
  /** Whether it holds the same times more than once: a seek would land at any of them. */
  readonly repeatsTimes?: boolean;
};

/** How frames are taken from a file. `frameRate` undefined: as stored. */
export type Clock = { readonly frameRate: number | undefined };

export type Survey = {
  readonly frames: number;
  /** The brightest point of each frame that was looked at, 0 to 255. */
  readonly brightest: Uint8Array;
  readonly sizes: readonly FrameSize[];
  readonly repeatsTimes: boolean;
  /** What ffmpeg complained about on the way; "" when nothing. */
  readonly complaint: string;
};

const surveyTimeoutMs = 60 * 60_000;
/** Frames come all the time: a decoder that shows none for this long hangs. */
const surveyQuietMs = 5 * 60_000;
const decodeTimeoutMs = 20 * 60_000;

/** Below this many seconds into a file, decoding from its start is as quick as a seek. */
const seekFromSeconds = 20;
/** A seek lands this much before the window, so that the frame on screen at its start is known. */
const seekMarginSeconds = 2;
/** The same for containers without an index: the first key frame after the seek may be as far away as this. */
const blindSeekMarginSeconds = 12;

/** Each frame is looked at in this many points a side: single pixels, so that it costs next to nothing. */
const surveySide = 32;

/**
 * Decodes the whole file on the given clock, and says what its frames are.
 *
 * @throws AppError `media_unreadable` when not one frame comes out
 */
export async function surveyVideo(file: VideoFile, clock: Clock, signal?: AbortSignal): Promise<Survey> {
  const claimed = file.info.durationSeconds ?? 24 * 3600;
  const survey = await surveyUpTo(file, clock, claimed, signal);
  const { frameRate } = clock;
  if (frameRate === undefined || survey.frames < frameLimit(claimed, frameRate)) return survey;
  const { seconds, goBack } = await readPacketTimes(file, signal);
  const whole = seconds > claimed ? await surveyUpTo(file, clock, seconds, signal) : survey;
  return { ...whole, repeatsTimes: goBack };
}

async function surveyUpTo(
  file: VideoFile,
  clock: Clock,
  seconds: number,
  signal?: AbortSignal,
): Promise<Survey> {
  const points = new Points();
  const sizes = new Map<string, FrameSize>();
  // Numbered anew after the clock: frames leave ffmpeg as they are, none repeated and none left out.
  const look = ["setpts=N/(25*TB)", `scale=${surveySide}:${surveySide}:flags=neighbor`, "format=gray"];
  const args = [
    ...inputOf(file),
    ...["-vf", [...timeFilters(file.info, clock), ...look].join(",")],
    ...(clock.frameRate === undefined ? [] : ["-frames:v", String(frameLimit(seconds, clock.frameRate))]),
    ...["-r", "25", "-f", "rawvideo", "pipe:1"],
  ];
  const result = await runTool("ffmpeg", args, {
    what: file.name,
    timeoutMs: surveyTimeoutMs,
    quietMs: surveyQuietMs,
    signal,
    onOutput: (piece) => points.take(piece),
    onNotice: (line) => {
      const size = sizeIn(line);
      if (size !== undefined) sizes.set(`${size.width}x${size.height}`, size);
    },
  });
  const { frames, brightest } = points.end();
  const complaint = complaintOf(result);
  if (frames === 0) throw unreadable(file.name, complaint || "not one frame can be decoded");
  return { frames, brightest, sizes: [...sizes.values()], repeatsTimes: false, complaint };
}

/** The log says what size comes in: the scaler once for each, the input when another follows. */
function sizeIn(line: string): FrameSize | undefined {
  const scaled = numbersIn(/\bw:(\d+) h:(\d+) fmt:.* sar:(\d+)\/(\d+) -> w:/, line);
  if (scaled !== undefined) {
    const [width = 0, height = 0, above = 0, below = 0] = scaled;
    const aspect = above > 0 && below > 0 ? above / below : 1;
    return { width: Math.max(1, Math.round(width * aspect)), height };
  }
  const changed = numbersIn(/context - w: (\d+) h: (\d+) .* incoming frame - w: (\d+) h: (\d+) /, line);
  if (changed === undefined) return undefined;
  const [oldWidth, oldHeight, width = 0, height = 0] = changed;
  return width === oldWidth && height === oldHeight ? undefined : { width, height };
}

function numbersIn(pattern: RegExp, line: string): number[] | undefined {
  return pattern.exec(line)?.slice(1).map(Number);
}

/** The brightest byte of each frame of a stream of frames. */
class Points {
  #brightest = new Uint8Array(1024);
  #bytes = 0;

  take(piece: Uint8Array): void {
    for (const value of piece) {
      const frame = Math.floor(this.#bytes++ / surveySide ** 2);
      if (frame === this.#brightest.length) this.#grow();
      if (value > (this.#brightest[frame] ?? 0)) this.#brightest[frame] = value;
    }
  }

  #grow(): void {
    const larger = new Uint8Array(this.#brightest.length * 2);
    larger.set(this.#brightest);
    this.#brightest = larger;
  }

  end() {
    const frames = Math.floor(this.#bytes / surveySide ** 2);
    return { frames, brightest: this.#brightest.subarray(0, frames) };
  }
}

/** One broken timestamp makes a fixed rate repeat a frame for hours: never more than the file lasts, plus a second. */
function frameLimit(seconds: number, frameRate: number): number {
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
  const seek = seekPoint(file, request);
  const first = await decodeFrom(file, request, seek, signal);
  if (first.complete) return first.pixels;
  // Some files cannot be entered in the middle. Counting read them from the start, so that works.
  const again = seek === 0 ? first : await decodeFrom(file, request, 0, signal);
  if (again.complete) return again.pixels;
  if (!existsSync(file.path)) throw removedMeanwhile(file.name);
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
  let firstSeconds = 0;
  const result = await runTool("ffmpeg", decodeArguments(file, request, seek), {
    what: file.name,
    timeoutMs: decodeTimeoutMs,
    signal,
    ...(seek === 0 ? {} : { onNotice: (line) => (firstSeconds = firstTimeIn(line) ?? firstSeconds) }),
    onOutput: (piece) => {
      const fitting = piece.subarray(0, pixels.length - filled);
      pixels.set(fitting, filled);
      filled += fitting.length;
    },
  });
  return {
    pixels,
    frames: Math.floor(filled / frameBytes),
    // A seek that lands too late would show its first frame for the ones before it.
    complete: filled === pixels.length && firstSeconds <= marginOf(file.info),
    complaint: complaintOf(result),
  };
}

function complaintOf({ errors, killedBy }: RunResult): string {
  return firstComplaint(errors) || (killedBy === null ? "" : `ffmpeg was ended by ${killedBy}`);
}

/** The frame of the clock at which decoding enters the file; 0 is its start. */
function seekPoint({ info, repeatsTimes }: VideoFile, { clock, start, scaledFrom }: DecodeRequest): number {
  if (clock.frameRate === undefined || scaledFrom !== undefined || repeatsTimes) return 0;
  if (start < seekFromSeconds * clock.frameRate) return 0;
  return start - Math.ceil(marginOf(info) * clock.frameRate);
}

function marginOf({ hasIndex }: VideoInfo): number {
  return hasIndex ? seekMarginSeconds : blindSeekMarginSeconds;
}

function decodeArguments(file: VideoFile, request: DecodeRequest, seek: number): string[] {
  const { info } = file;
  const rate = request.clock.frameRate ?? info.frameRate ?? 25;
  const seekSeconds = info.offsetSeconds + seek / rate;
  const { frameRate } = request.clock;
  const pace = request.scaledFrom === undefined ? undefined : `${request.frames}/${request.scaledFrom}`;
  const filters = [
    ...(seek > 0 ? [firstTimeFilter] : []),
    ...timeFilters(info, { frameRate, seeked: seek > 0, pace }),
    ...windowFilters(request, seek),
    // Frames leave at a constant rate, so that ffmpeg neither repeats nor drops one on output.
    `setpts=N/(${rate}*TB)`,
    ...coverFilters(info, request, file.sizes ?? []),
  ];
  return [
    ...inputOf(file, seek > 0 ? ["-ss", seekSeconds.toFixed(6)] : []),
    ...["-vf", filters.join(","), "-r", String(rate)],
    ...["-frames:v", String(request.frames), "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"],
  ];
}

/** Opens the one stream; a chain of filters that the container's rotation is part of cannot outlive a change of size. */
function inputOf({ path, info }: VideoFile, options: readonly string[] = []): string[] {
  return [
    ...["-nostdin", "-threads", String(ffmpegThreads), "-an", "-sn", "-dn"],
    ...(info.decoder === undefined ? [] : ["-c:v", info.decoder]),
    ...(info.turned ? [] : ["-reinit_filter", "0"]),
    ...options,
    ...inputArguments(path),
    ...["-map", `0:${info.stream}`],
  ];
}

/** Writes the time of the first frame after a seek into the log, in seconds after the seek point. */
const firstTimeFilter = "setpts='PTS+if(eq(N\\,0)\\,0*print(T\\,24)\\,0)'";

function firstTimeIn(line: string): number | undefined {
  const match = /^(?:\[[^\]]*\] )*\[warning\] (\d+\.\d+)$/.exec(line);
  return match === null ? undefined : Number(match[1]);
}

function windowFilters({ start, frames, scaledFrom }: DecodeRequest, seek: number): string[] {
  // Rounding may leave a time-scaled clip one frame short: its last frame stays on screen.
  if (scaledFrom !== undefined) return [`tpad=stop_mode=clone:stop=${frames}`, `trim=end_frame=${frames}`];
  return [`trim=start_frame=${start - seek}:end_frame=${start - seek + frames}`];
}
