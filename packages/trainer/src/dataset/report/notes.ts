/** What a file's line in the report says beside its fate: what was noticed, and what it does to the samples. */
import type { ReportSample, Size } from "@ltx-trainer/contract";
import type { VideoInfo } from "../../media/ffmpeg/probe.ts";
import type { Survey, VideoFile } from "../../media/video.ts";

export function videoNotes(
  { info, sizes = [] }: VideoFile,
  { complaint }: Survey,
  seconds: number,
): string[] {
  return [
    ...lengthNotes(info, seconds),
    ...(complaint === "" ? [] : [`decoded with errors: ${complaint}`]),
    ...(sizes.length > 1 ? [`changes its size on the way: ${sizes.map(sizeText).join(", ")}`] : []),
    ...(info.hdr ? ["high dynamic range: read without tone mapping, colours will look flat"] : []),
    ...(info.losesAlpha ? ["its transparency cannot be read: this ffmpeg has no libvpx"] : []),
  ];
}

function lengthNotes({ durationSeconds, startSeconds }: VideoInfo, seconds: number): string[] {
  const promised = (durationSeconds ?? seconds) - startSeconds;
  if (seconds >= promised * 0.9) return [];
  return [`cut short: ${seconds.toFixed(1)} of ${promised.toFixed(1)} s can be decoded`];
}

/** No point of a black frame is brighter: limited range's black, and the noise that encoders leave in it. */
const blackLevel = 12;

/** Samples that show nothing would teach that the caption means nothing. */
export function blackNotes(
  { frames, brightest }: Pick<Survey, "frames" | "brightest">,
  samples: readonly Pick<ReportSample, "startSeconds" | "durationSeconds" | "frameRate">[],
): string[] {
  const black = samples.filter(({ startSeconds, durationSeconds, frameRate }) => {
    const first = Math.round(startSeconds * frameRate);
    const end = Math.min(frames, first + Math.round(durationSeconds * frameRate));
    return brightest.subarray(first, end).every((level) => level <= blackLevel);
  });
  const [first] = black;
  if (first === undefined) return [];
  const place = `the ${black.length === 1 ? "one" : "first"} at ${first.startSeconds.toFixed(1)} s`;
  return [`${black.length} of ${counted(samples.length, "sample")} black from beginning to end: ${place}`];
}

export function pageNotes(pages: number): string[] {
  return pages > 1 ? [`holds ${pages} pictures: the first is used`] : [];
}

export function sizeNotes(info: Size, wanted: Size): string[] {
  const scale = Math.max(wanted.width / info.width, wanted.height / info.height);
  return scale > 1.05 ? [`smaller than the samples: scaled up ${scale.toFixed(2)} times`] : [];
}

/** `1 frame`, `2 frames`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function sizeText({ width, height }: Size): string {
  return `${width}x${height}`;
}
