/**
 * Dataset preparation: open the source, pair media with captions, look at every file, decide the samples, report.
 *
 * A file that cannot be used is dropped with its reason and the others go on; nothing usable at all is an error. The result
 * depends only on the data and the options, never on the order in which files happen to be read.
 */
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { AppError, interrupted, type ReportFile } from "@ltx-trainer/contract";
import { snapFrames } from "@ltx-trainer/ltx";
import pMap, { pMapSkip } from "p-map";
import { fileKind, isJunk, mediaExtensions } from "../media/media-kinds.ts";
import { fileFailure } from "../source/file-failure.ts";
import { logEvery } from "../source/log-progress.ts";
import { openSource, type Source } from "../source/open.ts";
import { encryptedArchive } from "../source/zip/archive.ts";
import { type Caption, makeCaption, readWords } from "./captions/captions.ts";
import { isNamedReference, pairFiles, referenceName } from "./captions/pair.ts";
import { splitOutputs } from "./own-outputs.ts";
import { pairPieces } from "./references.ts";
import { hashSamples } from "./report/lost-samples.ts";
import { makeReport, nothingUsable } from "./report/report.ts";
import { type Examined, examine } from "./samples.ts";
import type { Dataset, DatasetOptions, PrepareContext, Sample, SourceFile } from "./types.ts";

/** A caption file above this size is no caption. */
const maxCaptionBytes = 64 * 1024;

/** Of notes about captions. */
const mostLoggedNotes = 10;

/**
 * Turns a zip, folder, file, address or data URI into samples.
 *
 * @throws AppError when the source cannot be opened or holds nothing usable; `interrupted` on the signal
 */
export async function prepareDataset(
  source: string,
  options: DatasetOptions,
  context: PrepareContext,
): Promise<Dataset> {
  const { frames, temporalCompression: temporal } = options;
  if (frames < 1 || snapFrames(frames, temporal) !== frames) {
    throw new Error(`prepareDataset: got ${frames} frames, expected ${temporal}k + 1`);
  }
  try {
    const opened = await openSource(source, context);
    try {
      return await prepare(opened, options, context);
    } finally {
      await opened.close();
    }
  } catch (error) {
    if (!context.signal?.aborted) throw error;
    throw interrupted({
      message: "interrupted while reading the dataset: nothing was lost",
      remedy: "Run the same command again.",
      cause: error,
    });
  }
}

/** A file's line in the report, that of its reference, and its samples. */
type Outcome = {
  readonly line: ReportFile;
  readonly referenceLine?: ReportFile | undefined;
  readonly samples: readonly Sample[];
  /** Those of its notes that are about its caption. */
  readonly captionNotes: readonly string[];
};

async function prepare(source: Source, options: DatasetOptions, context: PrepareContext): Promise<Dataset> {
  refuseEmpty(source);
  const { own, data } = splitOutputs(source.files);
  const { media, ignored } = pairFiles(data, { references: options.referenceVideos });
  if (media.some(({ file }) => file.refusal === "protected by a password"))
    throw encryptedArchive(source.name);
  const shared = media.map((item) => item.caption).filter((file) => file !== undefined);
  const used: ReportFile[] = [...new Set(shared)].map((file) => ({
    ...plainLine(file, "caption"),
    status: "kept",
  }));
  const unused = ignored.map(
    ({ file, reason }) => ({ ...plainLine(file, fileKind(file.path)), reason }) satisfies ReportFile,
  );
  const written = own.map(
    (file) =>
      ({ ...plainLine(file, fileKind(file.path)), reason: "written by a training" }) satisfies ReportFile,
  );
  const others = [...used, ...unused, ...written];
  let done = 0;
  const logProgress = logEvery(context);
  const examined = await mapInOrder(media, async (item) => {
    const outcome = await examineFile(item, options, context);
    context.onProgress?.({ title: "Checking media", done: ++done, total: media.length });
    if (done < media.length) logProgress(() => `checking media: ${done} of ${media.length}`);
    return outcome;
  });
  const outcomes = markTwins(options.mixedShapes ? examined : dropImagesAmongVideos(examined, options));
  const references = outcomes.map((outcome) => outcome.referenceLine).filter((line) => line !== undefined);
  const lines = [...outcomes.map((outcome) => outcome.line), ...references, ...others];
  for (const line of lines) {
    if (line.status === "dropped") context.log?.("warning", `dropped ${line.path}: ${line.reason}`);
  }
  logCaptionNotes(outcomes, context);
  const samples = outcomes.flatMap((outcome) => outcome.samples);
  if (samples.length === 0) throw nothingUsable(source.name, lines, mediaExtensions);
  const hash = hashSamples(samples);
  return { samples, hash, report: makeReport(source.name, hash, lines) };
}

/** The first few by name: a dataset of thousands would fill the log with one sentence. */
function logCaptionNotes(outcomes: readonly Outcome[], context: PrepareContext): void {
  const notes = outcomes
    .filter(({ samples }) => samples.length > 0)
    .flatMap(({ line, captionNotes }) => captionNotes.map((note) => `${line.path}: ${note}`));
  for (const note of notes.slice(0, mostLoggedNotes)) context.log?.("warning", note);
  const more = notes.length - mostLoggedNotes;
  if (more > 0) context.log?.("warning", `${more} more notes about captions: see the dataset report`);
}

function refuseEmpty({ name, files }: Source): void {
  if (files.some((file) => !isJunk(file.path))) return;
  throw new AppError({
    code: "dataset_empty",
    message: `${name}: got no files${files.length === 0 ? "" : " but those an operating system leaves behind"}`,
    remedy: `Put videos or images into it (${mediaExtensions}), with a .txt caption beside each.`,
  });
}

type MediaItem = ReturnType<typeof pairFiles<SourceFile>>["media"][number];

async function examineFile(
  item: MediaItem,
  options: DatasetOptions,
  context: PrepareContext,
): Promise<Outcome> {
  const { file, kind } = item;
  const line: ReportFile = { ...plainLine(file, kind), status: "dropped" };
  const dropped = (reason: string): Outcome => {
    return {
      line: { ...line, reason },
      referenceLine: referenceLineOf(item, []),
      samples: [],
      captionNotes: [],
    };
  };
  if (file.refusal !== undefined) return dropped(file.refusal);
  try {
    const path = await file.locate();
    const own = await examine({ path, name: file.path, kind }, options, context.signal);
    const found = options.referenceVideos ? await withReference(item, own, options, context) : own;
    const caption = await readCaption(item, options.triggerPhrase);
    const unseen = context.describeUnseen?.(caption.text) ?? [];
    const captionNotes = [...caption.notes, ...unseen.map((part) => `caption: ${part}`)];
    const misnamed = options.referenceVideos !== true && isNamedReference(file.path);
    const notes = [
      ...found.notes,
      ...captionNotes,
      ...(misnamed ? ["named like a reference, but reference_videos is off: a sample like any other"] : []),
    ];
    const known: ReportFile = {
      ...line,
      kind: found.kind,
      status: found.pieces.length > 0 ? "kept" : "dropped",
      ...(found.reason === undefined ? {} : { reason: found.reason }),
      ...(notes.length === 0 ? {} : { notes }),
      width: found.width,
      height: found.height,
      ...(found.durationSeconds === undefined ? {} : { durationSeconds: found.durationSeconds }),
      ...(found.sourceFrameRate === undefined ? {} : { sourceFrameRate: found.sourceFrameRate }),
      caption: caption.text,
      captionSource: caption.source,
      samples: found.pieces.map((piece) => piece.line),
    };
    const samples = found.pieces.map(({ excerpt, reference }) => {
      return { ...excerpt, caption: caption.text, reference };
    });
    return { line: known, referenceLine: referenceLineOf(item, samples), samples, captionNotes };
  } catch (error) {
    const reason = fileFailure(error);
    if (reason === undefined) throw error;
    return dropped(reason);
  }
}

/** What was found in a medium, cut down to what its reference covers. */
async function withReference(
  { file, reference }: MediaItem,
  own: Examined,
  options: DatasetOptions,
  context: PrepareContext,
): Promise<Examined> {
  const without = (reason: string) => ({ ...own, pieces: [], reason: own.reason ?? reason });
  if (reference === undefined) return without(`no reference beside it, expected ${referenceName(file.path)}`);
  if (reference.refusal !== undefined) return without(`its reference is refused: ${reference.refusal}`);
  const kind = fileKind(reference.path) === "image" ? "image" : "video";
  try {
    const media = { path: await reference.locate(), name: reference.path, kind } as const;
    const pairing = pairPieces(own, await examine(media, options, context.signal), reference.path);
    return { ...own, ...pairing, notes: [...own.notes, ...pairing.notes] };
  } catch (error) {
    const reason = fileFailure(error);
    if (reason === undefined) throw error;
    return without(`its reference ${reference.path} cannot be used: ${reason}`);
  }
}

function referenceLineOf({ reference }: MediaItem, samples: readonly Sample[]): ReportFile | undefined {
  if (reference === undefined) return undefined;
  const line = plainLine(reference, "reference");
  return samples.length > 0
    ? { ...line, status: "kept" }
    : { ...line, reason: "what it belongs to is dropped" };
}

/** Notes of its own file name that file, since the report shows them beside the medium. */
async function readCaption({ file, caption: textFile }: MediaItem, triggerPhrase: string): Promise<Caption> {
  const without = (...notes: string[]) => withNotes(makeCaption(undefined, triggerPhrase, file.path), notes);
  if (textFile === undefined) return without();
  const { path, refusal, sizeBytes } = textFile;
  const unfit = refusal ?? (sizeBytes > maxCaptionBytes ? tooLongForCaption(sizeBytes) : undefined);
  if (unfit !== undefined) return without(`${path} is not used: ${unfit}`);
  try {
    const { text, note } = readWords(await readFile(await textFile.locate()));
    const caption = makeCaption(text, triggerPhrase, file.path);
    if (note !== undefined) return withNotes(caption, [`${path}: ${note}`]);
    return caption.source === "text file" ? caption : withNotes(caption, [`${path} is empty`]);
  } catch (error) {
    const reason = captionFailure(error);
    if (reason === undefined) throw error;
    return without(`${path} is not used: ${reason}`);
  }
}

function withNotes(caption: Caption, notes: readonly string[]): Caption {
  return { ...caption, notes: [...notes, ...caption.notes] };
}

function tooLongForCaption(bytes: number): string {
  return `got ${bytes} bytes, expected at most ${maxCaptionBytes} for a caption`;
}

/** Why one caption cannot be read; undefined when it is more than that. */
function captionFailure(error: unknown): string | undefined {
  if (error instanceof AppError) return fileFailure(error);
  const code = (error as NodeJS.ErrnoException).code;
  return code === "EACCES" || code === "ENOENT" || code === "EIO" ? `it cannot be read (${code})` : undefined;
}

/** With mixed shapes off, images train only when there is nothing else. */
function dropImagesAmongVideos(outcomes: readonly Outcome[], { frames }: DatasetOptions): readonly Outcome[] {
  const hasVideos = outcomes.some(({ line, samples }) => line.kind === "video" && samples.length > 0);
  if (!hasVideos || frames === 1) return outcomes;
  const reason = "an image among videos, and mixed_shapes is off";
  return outcomes.map((outcome) =>
    outcome.line.kind === "image" && outcome.line.status === "kept"
      ? { ...outcome, line: { ...outcome.line, status: "dropped", reason, samples: [] }, samples: [] }
      : outcome,
  );
}

/** Equal media are used as they come, but said: they weigh twice. */
function markTwins(outcomes: readonly Outcome[]): readonly Outcome[] {
  const firsts = new Map<string, string>();
  return outcomes.map((outcome) => {
    const id = outcome.samples[0]?.id;
    if (id === undefined) return outcome;
    const first = firsts.get(id);
    if (first === undefined) firsts.set(id, outcome.line.path);
    if (first === undefined) return outcome;
    const notes = [...(outcome.line.notes ?? []), `same content as ${first}`];
    return { ...outcome, line: { ...outcome.line, notes } };
  });
}

function plainLine(file: SourceFile, kind: ReportFile["kind"]): ReportFile {
  return { path: file.path, kind, status: "ignored", sizeBytes: file.sizeBytes, samples: [] };
}

/** Decoders bring their own threads. */
function workers(): number {
  return Math.max(1, Math.min(4, Math.floor(availableParallelism() / 2)));
}

/** Results in the order of the items, `workers()` at once. After a failure the others finish what they have begun. */
async function mapInOrder<In, Out>(items: readonly In[], work: (item: In) => Promise<Out>): Promise<Out[]> {
  const failures: unknown[] = [];
  const results = await pMap(
    items,
    async (item) => {
      if (failures.length > 0) return pMapSkip;
      try {
        return await work(item);
      } catch (error) {
        failures.push(error);
        return pMapSkip;
      }
    },
    { concurrency: workers() },
  );
  if (failures.length > 0) throw failures[0];
  return results;
}
