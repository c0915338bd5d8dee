/**
 * From one media file to its training samples: look at it, count what it really holds, decide the windows.
 *
 * Nothing is kept in memory: a sample knows how to decode itself when it is needed.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { AppError, ReportSample } from "@ltx-trainer/contract";
import { fileTypeFromFile } from "file-type";
import { probeVideo, unreadable } from "../media/ffmpeg/probe.ts";
import {
  countApngPictures,
  decodeImage,
  decodePages,
  type ImageFile,
  type ImageInfo,
  imageFile,
  pagesOnScreen,
  probeImage,
} from "../media/image.ts";
import { type Clock, decodeVideo, type Survey, surveyVideo, type VideoFile } from "../media/video.ts";
import { blackNotes, counted, pageNotes, sizeNotes, videoNotes } from "./report/notes.ts";
import type { DatasetOptions, Excerpt } from "./types.ts";
import { planWindows, type Window } from "./windows.ts";

/** Changed whenever the same file, window and size would give other pixels. */
const decoderVersion = 2;

/** What becomes a sample with its caption, its line in the report, and the reference's stretch where there is one. */
export type Piece = { readonly excerpt: Excerpt; readonly line: ReportSample; readonly reference?: Excerpt };

/** What a media file turned out to be. */
export type Examined = {
  readonly kind: "video" | "image";
  readonly contentHash: string;
  readonly width: number;
  readonly height: number;
  /** Seconds and frames per second; undefined for images. */
  readonly durationSeconds?: number;
  readonly sourceFrameRate?: number;
  readonly pieces: readonly Piece[];
  /** Why there are no pieces. */
  readonly reason?: string;
  readonly notes: readonly string[];
};

export type MediaFile = { readonly path: string; readonly name: string; readonly kind: "video" | "image" };

/**
 * Looks at a media file, decoding all of a video once.
 *
 * @throws AppError `media_unreadable` when it cannot be decoded
 */
export async function examine(
  file: MediaFile,
  options: DatasetOptions,
  signal?: AbortSignal,
): Promise<Examined> {
  const { kind, mime } = await contentKind(file);
  if (kind === "video") return examineVideo(file, options, signal);
  const image = imageFile(file, mime);
  const info = await probeImage(image);
  const contentHash = await hashFile(file, signal);
  return info.delaysMs.length > 1
    ? examineAnimation(image, info, contentHash, options)
    : examineImage(image, info, contentHash, options);
}

async function examineVideo(
  { path, name }: MediaFile,
  options: DatasetOptions,
  signal?: AbortSignal,
): Promise<Examined> {
  const clock = clockOf(options);
  const { file, survey, fieldNotes = [] } = await lookAt({ path, name }, clock, signal);
  const contentHash = await hashFile(file, signal);
  const { info } = file;
  const { frames } = survey;
  const rate = clock.frameRate ?? info.frameRate ?? options.frameRate;
  const clip = planClip(
    { contentHash, name, frames, rate, options, decoder: info.decoder },
    (window, scaledFrom) => decodeVideo(file, { clock, ...sizeOf(options), ...window, scaledFrom }, signal),
  );
  const seconds = frames / rate;
  const lines = clip.pieces.map((piece) => piece.line);
  const notes = [
    ...videoNotes(file, survey, seconds),
    ...fieldNotes,
    ...blackNotes(survey, lines),
    ...sizeNotes(info, options),
    ...clip.notes,
  ];
  return {
    ...clip,
    kind: "video",
    contentHash,
    width: info.width,
    height: info.height,
    durationSeconds: seconds,
    ...(info.frameRate === undefined ? {} : { sourceFrameRate: info.frameRate }),
    notes,
  };
}

/** The file with what its frames turned out to be. */
async function lookAt(
  { path, name }: Pick<MediaFile, "path" | "name">,
  clock: Clock,
  signal?: AbortSignal,
): Promise<{ readonly file: VideoFile; readonly survey: Survey; readonly fieldNotes?: readonly string[] }> {
  const opened: VideoFile = { path, name, info: await probeVideo(path, name, signal) };
  const survey = await surveyVideo(opened, clock, signal);
  const file = { ...opened, repeatsTimes: survey.repeatsTimes };
  if (survey.sizes.length < 2) return { file, survey };
  if (file.info.turned)
    throw unreadable(
      name,
      "it changes its size on the way and is turned by its container: convert it to mp4",
    );
  if (!file.info.interlaced) return { file: { ...file, sizes: survey.sizes }, survey };
  // The deinterlacer takes frames of one size.
  const plain = { ...file, info: { ...file.info, interlaced: false } };
  const again = await surveyVideo(plain, clock, signal);
  const fieldNotes = ["interlaced, and not deinterlaced because its size changes: moving edges are combs"];
  return { file: { ...plain, sizes: again.sizes }, survey: again, fieldNotes };
}

function examineAnimation(
  file: ImageFile,
  info: ImageInfo,
  contentHash: string,
  options: DatasetOptions,
): Examined {
  const seconds = info.delaysMs.reduce((sum, delay) => sum + delay, 0) / 1000;
  const sourceFrameRate = info.delaysMs.length / seconds;
  const rate = clockOf(options).frameRate ?? sourceFrameRate;
  const frames = Math.max(1, Math.round(seconds * rate));
  const clip = planClip({ contentHash, name: file.name, frames, rate, options }, (window, scaledFrom) => {
    // Time-scaling is showing the same pictures at another rate.
    const shownRate = scaledFrom === undefined ? rate : (rate * window.frames) / scaledFrom;
    const pages = pagesOnScreen(info.delaysMs, shownRate, window.frames, window.start);
    return decodePages(file, info, sizeOf(options), pages);
  });
  return {
    ...clip,
    kind: "video",
    contentHash,
    width: info.width,
    height: info.height,
    durationSeconds: seconds,
    sourceFrameRate,
    notes: [...sizeNotes(info, options), ...clip.notes],
  };
}

async function examineImage(
  file: ImageFile,
  info: ImageInfo,
  contentHash: string,
  options: DatasetOptions,
): Promise<Examined> {
  const size = sizeOf(options);
  // Decoding it once is the only way to know that it can be.
  await decodeImage(file, size);
  const id = sampleId(contentHash, { kind: "image", ...size });
  const still = { id, ...size, frames: 1, frameRate: options.frameRate };
  const line = { ...still, startSeconds: 0, durationSeconds: 0 };
  const excerpt = { ...still, kind: "image" as const, path: file.name, load: () => decodeImage(file, size) };
  return {
    kind: "image",
    contentHash,
    width: info.width,
    height: info.height,
    pieces: [{ excerpt, line }],
    notes: [...pageNotes(info.pages), ...sizeNotes(info, options)],
  };
}

type Clip = {
  readonly contentHash: string;
  readonly name: string;
  /** Frames it has on the clock, and frames per second. */
  readonly frames: number;
  readonly rate: number;
  readonly options: DatasetOptions;
  /** Other than ffmpeg's choice. */
  readonly decoder?: string | undefined;
};

type Load = (window: Window, scaledFrom: number | undefined) => Promise<Uint8Array>;

/** Windows, or the whole clip time-scaled. */
function planClip(clip: Clip, load: Load): Pick<Examined, "pieces" | "reason" | "notes"> {
  const { frames, rate, options } = clip;
  if (options.autoScale) {
    if (frames < 2)
      return { pieces: [], reason: "too short: 1 frame, expected at least 2 to time-scale", notes: [] };
    const pace = frames / options.frames;
    const change = pace >= 1 ? `${pace.toFixed(2)} times faster` : `${(1 / pace).toFixed(2)} times slower`;
    const piece = makePiece(clip, { start: 0, frames: options.frames }, frames, load);
    return { pieces: [piece], notes: frames === options.frames ? [] : [`time-scaled: ${change}`] };
  }
  const plan = planWindows(frames, options.frames, options);
  const pieces = plan.windows.map((window) => makePiece(clip, window, undefined, load));
  if ("reason" in plan)
    return { pieces, reason: `${plan.reason} at ${round(rate)} frames a second`, notes: [] };
  const unused = plan.unused === 0 ? [] : [unusedNote(plan.unused)];
  return { pieces, notes: unused };
}

function unusedNote(frames: number): string {
  return `${counted(frames, "frame")} at the end ${frames === 1 ? "is" : "are"} not used`;
}

function makePiece(clip: Clip, window: Window, scaledFrom: number | undefined, load: Load): Piece {
  const { contentHash, name, rate, options, decoder } = clip;
  const size = sizeOf(options);
  // A file's own average rate may be the plan's: frames as stored are others all the same.
  const clock = clockOf(options).frameRate ?? "stored";
  const id = sampleId(contentHash, { kind: "video", ...window, ...size, rate, clock, scaledFrom, decoder });
  const shared = { id, ...size, frames: window.frames, frameRate: rate };
  return {
    excerpt: { ...shared, kind: "video", path: name, load: () => load(window, scaledFrom) },
    line: {
      ...shared,
      startSeconds: window.start / rate,
      durationSeconds: (scaledFrom ?? window.frames) / rate,
    },
  };
}

/** Time-scaling needs a fixed rate; else the rate is the plan's unless frames are wanted as stored. */
function clockOf(options: DatasetOptions): Clock {
  const fixed = options.autoScale || (options.resampleFrameRate ?? true);
  return { frameRate: fixed ? options.frameRate : undefined };
}

function sizeOf({ width, height }: DatasetOptions) {
  return { width, height };
}

function sampleId(contentHash: string, decision: Readonly<Record<string, unknown>>): string {
  return createHash("sha256")
    .update(JSON.stringify([decoderVersion, contentHash, decision]))
    .digest("hex");
}

/** Read last: a file that is dropped may be of any size. */
async function hashFile(
  { path, name }: Pick<MediaFile, "path" | "name">,
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash("sha256");
  try {
    await pipeline(createReadStream(path), hash, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw cannotBeRead(name, error);
  }
  return hash.digest("hex");
}

/** Messages of the system hold the whole path. */
function cannotBeRead(name: string, error: unknown): AppError {
  const { code = "unknown error" } = error as NodeJS.ErrnoException;
  const reason = code === "EACCES" || code === "EPERM" ? "this account has no permission" : code;
  return unreadable(name, `it cannot be read: ${reason}`, error);
}

/** Contents win over names; what is not recognised is what its name says. */
async function contentKind({ path, name, kind }: MediaFile) {
  try {
    const mime = (await fileTypeFromFile(path))?.mime ?? "";
    const isAnimation = mime === "image/apng" && (await countApngPictures(path)) !== 1;
    if (mime.startsWith("video/") || isAnimation) return { kind: "video", mime } as const;
    return { kind: mime.startsWith("image/") ? "image" : kind, mime } as const;
  } catch (error) {
    throw cannotBeRead(name, error);
  }
}

function round(rate: number): string {
  return String(Math.round(rate * 100) / 100);
}
