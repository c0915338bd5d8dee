/** The dataset report: one line per file with its fate, totals, and sentences about the whole. */
import { AppError, type DatasetReport, type ReportFile } from "@ltx-trainer/contract";
import { counted } from "./notes.ts";

/** Fewer samples than this rarely teach more than one look. */
const fewSamples = 5;

/** Puts the report together; files are sorted by path. */
export function makeReport(source: string, hash: string, files: readonly ReportFile[]): DatasetReport {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const samples = sorted.flatMap((file) => file.samples);
  const media = sorted.filter((file) => file.kind === "video" || file.kind === "image");
  const imageSamples = media.filter((file) => file.kind === "image").flatMap((file) => file.samples).length;
  return {
    source,
    hash,
    totals: {
      files: sorted.length,
      kept: media.filter((file) => file.status === "kept").length,
      dropped: media.filter((file) => file.status === "dropped").length,
      ignored: sorted.filter((file) => file.status === "ignored").length,
      samples: samples.length,
      videoSamples: samples.length - imageSamples,
      imageSamples,
      footageSeconds: samples.reduce((sum, sample) => sum + sample.durationSeconds, 0),
    },
    warnings: warningsAbout(sorted, samples.length),
    files: sorted,
  };
}

function warningsAbout(files: readonly ReportFile[], samples: number): string[] {
  const media = files.filter((file) => file.samples.length > 0);
  const uncaptioned = media.filter((file) => file.captionSource !== "text file");
  const dropped = files.filter((file) => file.status === "dropped");
  const silent = uncaptioned.filter((file) => (file.caption ?? "") === "");
  const warnings: string[] = [];
  if (dropped.length > 0) {
    warnings.push(
      `${ofAll(dropped.length, dropped.length + media.length)} cannot be used: see the ${dropped.length === 1 ? "reason" : "reasons"}.`,
    );
  }
  if (uncaptioned.length > 0) {
    const sources = new Set(uncaptioned.map(({ captionSource }) => captionSource));
    const instead = sources.has("trigger phrase")
      ? "the trigger phrase"
      : sources.has("file name")
        ? "their file names"
        : "nothing";
    warnings.push(
      `${ofAll(uncaptioned.length, media.length)} ${uncaptioned.length === 1 ? "has" : "have"} no caption; ${instead} will be used. Put a .txt of the same ` +
        "name beside each, saying what it shows.",
    );
  }
  if (silent.length > 0) {
    warnings.push(
      `${silent.length} of them ${silent.length === 1 ? "trains" : "train"} without any words. Give a trigger phrase or captions: without one, the LoRA answers to nothing.`,
    );
  }
  warnings.push(...cropWarnings(media));
  if (samples < fewSamples) {
    warnings.push(`Only ${counted(samples, "sample")}: ten or more clips give better results.`);
  }
  return warnings;
}

/** Above this share of a picture, what the crop takes away is worth a sentence. */
const muchCropped = 0.2;

function cropWarnings(media: readonly ReportFile[]): string[] {
  const cropped = media
    .map((file) => ({ file, share: croppedShare(file) }))
    .filter(({ share }) => share > muchCropped)
    .sort((a, b) => b.share - a.share);
  const [worst] = cropped;
  if (worst === undefined) return [];
  const { path, width, height, samples } = worst.file;
  const sizes = `it is ${width}x${height}, the samples are ${samples[0]?.width}x${samples[0]?.height}`;
  const percent = Math.round(worst.share * 100);
  return [
    `${ofAll(cropped.length, media.length)} ${cropped.length === 1 ? "loses" : "lose"} more than a fifth of the picture to the ` +
      `crop, most of all ${path} (${percent} %): ${sizes}. Choose the aspect ratio that fits them.`,
  ];
}

function croppedShare({ width, height, samples: [sample] }: ReportFile): number {
  if (width === undefined || height === undefined || sample === undefined) return 0;
  const [own, wanted] = [width / height, sample.width / sample.height];
  return 1 - Math.min(own / wanted, wanted / own);
}

/** `2 of 3 media files`. */
function ofAll(count: number, total: number): string {
  return `${count} of ${counted(total, "media file")}`;
}

/** The error when nothing is left to train on, with the reason of every dropped file. */
export function nothingUsable(source: string, files: readonly ReportFile[], expected: string): AppError {
  const dropped = files.filter((file) => file.status === "dropped");
  const shown = dropped.slice(0, 20).map((file) => `  ${file.path}: ${file.reason}`);
  const more = dropped.length > shown.length ? [`  and ${dropped.length - shown.length} more`] : [];
  const others = files.filter((file) => file.status === "ignored").map((file) => file.path);
  const found =
    others.length === 0
      ? ""
      : ` (found: ${others.slice(0, 10).join(", ")}${others.length > 10 ? ", ..." : ""})`;
  const message =
    dropped.length === 0
      ? `${source}: got no video or image${found}, expected at least one of ${expected}`
      : [`${source}: none of ${counted(dropped.length, "media file")} can be used:`, ...shown, ...more].join(
          "\n",
        );
  return new AppError({
    code: "no_usable_media",
    message,
    remedy: "See the reasons above; `ltx-trainer inspect` shows them without starting a training.",
    facts: { files: files.map(({ path, status, reason }) => ({ path, status, reason })) },
  });
}
