/** The dataset report for people: totals, then what happens to every file, then what could be better. */
import type { DatasetReport, ReportFile } from "@ltx-trainer/contract";
import { formatCount, formatDuration } from "./progress.ts";

/** Lines of the report, without a line end. */
export function renderReport(report: DatasetReport): string {
  const { totals } = report;
  const media = report.files.filter(({ kind }) => kind === "video" || kind === "image");
  const ignored = report.files.filter(({ status }) => status === "ignored");
  const footage = totals.footageSeconds > 0 ? `, ${formatDuration(totals.footageSeconds)} of footage` : "";
  return [
    `${report.source}: ${formatCount(totals.samples, "sample")} from ${totals.kept} of ${formatCount(media.length, "media file")}${footage}`,
    `  ${totals.videoSamples} from videos, ${totals.imageSamples} from images; ${shapes(report)}`,
    "",
    ...media.flatMap(mediaLines),
    ...(ignored.length === 0
      ? []
      : ["", "ignored:", ...ignored.map(({ path, reason }) => `  ${path}: ${reason}`)]),
    ...(report.warnings.length === 0 ? [] : ["", ...report.warnings.map((warning) => `note: ${warning}`)]),
  ].join("\n");
}

/** `5 of 64x64x25, 1 of 64x64x9`, the most frequent first. */
function shapes({ files }: DatasetReport): string {
  const counts = new Map<string, number>();
  for (const { width, height, frames } of files.flatMap((file) => file.samples)) {
    const shape = `${width}x${height}x${frames}`;
    counts.set(shape, (counts.get(shape) ?? 0) + 1);
  }
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return sorted.map(([shape, count]) => `${count} of ${shape}`).join(", ");
}

function mediaLines(file: ReportFile): string[] {
  if (file.status === "dropped") return [`dropped  ${file.path}: ${file.reason}`];
  const facts = [
    `${file.width}x${file.height}`,
    ...(file.kind === "video" && file.durationSeconds !== undefined
      ? [`${file.durationSeconds.toFixed(1)} s`]
      : []),
    ...(file.sourceFrameRate === undefined
      ? []
      : [`${Math.round(file.sourceFrameRate * 100) / 100} frames/s`]),
    formatCount(file.samples.length, "sample"),
  ];
  return [
    `kept     ${file.path}: ${facts.join(", ")}`,
    `           ${captionOf(file)}`,
    ...(file.notes ?? []).map((note) => `           ${note}`),
  ];
}

function captionOf({ caption, captionSource }: ReportFile): string {
  if (captionSource === "none") return "(no caption)";
  if (captionSource === "trigger phrase") return `"${caption}" (the trigger phrase)`;
  return `"${caption}"${captionSource === "file name" ? " (from its file name)" : ""}`;
}
