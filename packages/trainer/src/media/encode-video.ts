/**
 * From RGB frames to an mp4 that plays everywhere: H.264, 4:2:0, BT.709, index in front.
 *
 * The colour matrix is converted and named explicitly; without that, players guess and show shifted colours.
 *
 * Shapes: pixels are `[f, h, w, 3]`, sRGB, one byte each.
 */
import { rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { AppError } from "@ltx-trainer/contract";
import { nameBeside } from "@ltx-trainer/host";
import { diskFull } from "../files/disk.ts";
import { ffmpegThreads, findTool, firstComplaint, runTool } from "./ffmpeg/ffmpeg.ts";

export type VideoFormat = {
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  /** Frames per second. */
  readonly frameRate: number;
  /** Last frame first. */
  readonly reverse?: boolean;
  readonly signal?: AbortSignal | undefined;
};

/** x264's scale: 18 is visually lossless. */
const quality = 18;
const timeoutMs = 20 * 60_000;
/** For one small frame. */
const checkTimeoutMs = 60_000;

/**
 * Writes one video, or several side by side, to `path`, which appears only when it is complete.
 *
 * @param videos pixels of each, all of the same shape, from left to right
 * @throws AppError `tool_missing`, `tool_failed`, `disk_full`
 */
export async function writeVideo(
  path: string,
  videos: readonly Uint8Array[],
  format: VideoFormat,
): Promise<void> {
  checkPixels(videos, format);
  const { frameRate, signal } = format;
  const size = `${format.width * videos.length}x${format.height}`;
  const part = nameBeside(path);
  const raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", size];
  const args = [
    ...["-protocol_whitelist", "pipe", ...raw, "-framerate", String(frameRate), "-i", "pipe:0"],
    // 4:2:0 needs even sides; an odd one gets one more row or column of black.
    ...["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"],
    ...["-c:v", "libx264", "-preset", "medium", "-crf", String(quality), "-threads", String(ffmpegThreads)],
    ...["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"],
    // Without the encoder's version in it, the same frames give the same file.
    ...[
      "-fflags",
      "+bitexact",
      "-flags:v",
      "+bitexact",
      "-movflags",
      "+faststart",
      "-f",
      "mp4",
      "-y",
      `file:${part}`,
    ],
  ];
  const input = joinedFrames(videos, format);
  try {
    const { exitCode, errors } = await runTool("ffmpeg", args, { what: path, timeoutMs, signal, input });
    if (exitCode !== 0) throw encodingFailed(path, errors);
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

function checkPixels(videos: readonly Uint8Array[], { frames, height, width }: VideoFormat): void {
  const expected = frames * height * width * 3;
  const wrong = videos.find((pixels) => pixels.length !== expected);
  if (wrong === undefined && videos.length > 0 && frames > 0) return;
  const got = wrong === undefined ? `${videos.length} videos of ${frames} frames` : `${wrong.length} bytes`;
  throw new Error(
    `writeVideo: got ${got}, expected ${expected} bytes (${frames}x${height}x${width}x3) in each video`,
  );
}

/** Frame after frame, with the rows of all videos joined. */
function* joinedFrames(videos: readonly Uint8Array[], format: VideoFormat): Generator<Uint8Array> {
  const { frames, height, width, reverse } = format;
  const rowBytes = width * 3;
  for (let index = 0; index < frames; index++) {
    const first = (reverse ? frames - 1 - index : index) * height * rowBytes;
    const joined = new Uint8Array(height * rowBytes * videos.length);
    for (let row = 0; row < height; row++) {
      const start = first + row * rowBytes;
      for (const [place, pixels] of videos.entries()) {
        joined.set(pixels.subarray(start, start + rowBytes), (row * videos.length + place) * rowBytes);
      }
    }
    yield joined;
  }
}

function encodingFailed(path: string, errors: string): AppError {
  const complaint = firstComplaint(errors) || "ffmpeg gave no reason";
  if (errors.includes("No space left on device")) return diskFull(dirname(path));
  return new AppError({
    code: "tool_failed",
    message: `${path}: the video cannot be written: ${complaint}`,
    remedy: errors.includes("Unknown encoder") ? encoderRemedy : undefined,
    facts: { tool: "ffmpeg", reason: complaint },
  });
}

const encoderRemedy =
  "This ffmpeg was built without x264. Install one that has it, or name it in FFMPEG_PATH. `ffmpeg -encoders` lists libx264.";

/**
 * Encodes one small frame and throws it away: what a list of encoders promises, a build or a wrapper may not keep.
 *
 * @throws AppError `tool_missing` when there is no ffmpeg, or one that cannot write our videos
 */
export async function requireVideoEncoder(signal?: AbortSignal): Promise<void> {
  const side = 16;
  const args = [
    ...["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", `${side}x${side}`, "-i", "pipe:0"],
    ...["-pix_fmt", "yuv420p", "-c:v", "libx264", "-threads", "1", "-f", "null", "-"],
  ];
  const input = [new Uint8Array(side * side * 3)];
  const options = { what: "checking ffmpeg", timeoutMs: checkTimeoutMs, signal, input };
  const { exitCode, errors } = await runTool("ffmpeg", args, options).catch((error) => {
    throw error instanceof AppError && error.code === "tool_failed" ? hangs(error) : error;
  });
  if (exitCode === 0) return;
  const complaint = firstComplaint(errors) || "ffmpeg gave no reason";
  throw new AppError({
    code: "tool_missing",
    message: `ffmpeg: got one that cannot write H.264 video (${complaint}), expected one with libx264`,
    remedy: encoderRemedy,
    facts: { tool: "ffmpeg", reason: complaint },
  });
}

function hangs(cause: AppError): AppError {
  const path = findTool("ffmpeg");
  return new AppError({
    code: "tool_missing",
    message: `ffmpeg: got ${path}, which did not encode one small frame in ${checkTimeoutMs / 1000} s, expected one that works`,
    remedy: "Run it by hand to see what it waits for, or name another in FFMPEG_PATH.",
    facts: { tool: "ffmpeg", reason: String(cause.facts.reason) },
    cause,
  });
}
