/** Samples that were planned and then could not be loaded: the training goes on without them, and the report says so. */
import { createHash } from "node:crypto";
import type { ReportFile } from "@ltx-trainer/contract";
import { mediaExtensions } from "../../media/media-kinds.ts";
import type { Dataset, Sample } from "../types.ts";
import { counted } from "./notes.ts";
import { makeReport, nothingUsable } from "./report.ts";

/** sha256 over every sample's id, caption and reference, in order. */
export function hashSamples(samples: readonly Sample[]): string {
  const identities = samples.map(({ id, caption, reference }) =>
    reference === undefined ? [id, caption] : [id, caption, reference.id],
  );
  return createHash("sha256").update(JSON.stringify(identities)).digest("hex");
}

/**
 * The dataset without the samples of these ids.
 *
 * @param lost why each of them is left out, by its id
 * @throws AppError `no_usable_media` when none remain
 */
export function withoutLost(dataset: Dataset, lost: ReadonlyMap<string, string>): Dataset {
  if (lost.size === 0) return dataset;
  const files = dataset.report.files.map((file) => lineWithout(file, lost));
  const samples = dataset.samples.filter(({ id }) => !lost.has(id));
  if (samples.length === 0) throw nothingUsable(dataset.report.source, files, mediaExtensions);
  const hash = hashSamples(samples);
  return { samples, hash, report: makeReport(dataset.report.source, hash, files) };
}

function lineWithout(file: ReportFile, lost: ReadonlyMap<string, string>): ReportFile {
  const samples = file.samples.filter(({ id }) => !lost.has(id));
  const missing = file.samples.length - samples.length;
  if (missing === 0) return file;
  const reason = file.samples.map(({ id }) => lost.get(id)).find((why) => why !== undefined) ?? "";
  if (samples.length === 0) return { ...file, status: "dropped", reason, samples };
  const note = `${missing} of ${counted(file.samples.length, "sample")} left out: ${reason}`;
  return { ...file, notes: [...(file.notes ?? []), note], samples };
}
