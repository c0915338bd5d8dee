/** What the rest of the trainer sees of a dataset. */
import type { DatasetReport } from "@ltx-trainer/contract";

/** A file of the dataset before anything has looked inside. */
export type SourceFile = {
  /** Inside the archive or folder, with `/`; for people and for pairing. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Why it cannot be read; undefined when it can. */
  readonly refusal: string | undefined;
  /**
   * Its path on disk, after unpacking it where that is needed.
   *
   * @throws AppError
   */
  locate(): Promise<string>;
};

/** Decisions of the plan that shape the samples. */
export type DatasetOptions = {
  /** Frames of a full sample: `temporalCompression * k + 1`. */
  readonly frames: number;
  /** Frames that the VAE packs into one latent frame after the first. */
  readonly temporalCompression: number;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Frames per second of every sample (with `resampleFrameRate`). */
  readonly frameRate: number;
  /** Time-scale whole clips to `frames` instead of cutting windows. */
  readonly autoScale: boolean;
  readonly triggerPhrase: string;
  /** Every medium needs a reference beside it (`cat.reference.mp4` of `cat.mp4`). */
  readonly referenceVideos: boolean;
  /** Off: frames as stored, each sample at its file's own rate. */
  readonly resampleFrameRate: boolean;
  /** Off: only the first window of a video. */
  readonly useAllFootage: boolean;
  /** Off: only samples of the full frame count, unless there are only images. */
  readonly mixedShapes: boolean;
};

export type PrepareContext = {
  /** Where downloads and extracted files are put; they are needed as long as samples are loaded. */
  readonly workFolder: string;
  readonly onProgress?: (progress: {
    readonly title: string;
    readonly done: number;
    readonly total: number;
  }) => void;
  readonly log?: (level: "info" | "warning", message: string) => void;
  /** How often long work says in the log how far it is. Default: 10 s. */
  readonly logIntervalMs?: number;
  readonly signal?: AbortSignal;
  readonly limits?: Partial<DatasetLimits>;
  /** What the text encoder will not see of a caption, each as the end of a sentence. */
  readonly describeUnseen?: ((caption: string) => readonly string[]) | undefined;
  /** Called with every address a download is about to connect to; throw to refuse it. Default: none is refused. */
  readonly checkAddress?: (address: string) => void;
  /** What to call a source in messages. Default: as it was given, without data and queries. */
  readonly nameOf?: (source: string) => string;
};

export type DatasetLimits = {
  readonly downloadBytes: number;
  readonly downloadTimeoutMs: number;
  readonly entries: number;
  /** Of everything that is unpacked. */
  readonly unpackedBytes: number;
  /** Unpacked bytes per packed byte, of one entry above 64 MiB. Videos and photos hardly shrink in a zip. */
  readonly unpackRatio: number;
};

export const defaultLimits: DatasetLimits = {
  downloadBytes: 64 * 2 ** 30,
  downloadTimeoutMs: 6 * 3600 * 1000,
  entries: 100_000,
  unpackedBytes: 256 * 2 ** 30,
  unpackRatio: 200,
};

/** A window of a video, or an image, cut to size. */
export type Excerpt = {
  /** Hash of the media's bytes, the window, the size and the rate: equal ids mean equal pixels. */
  readonly id: string;
  readonly kind: "video" | "image";
  /** Where it comes from, for people: `clips/cat.mp4`. */
  readonly path: string;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
  /** Frames per second. */
  readonly frameRate: number;
  /**
   * The pixels as `[f, h, w, 3]`, sRGB, 0 to 255.
   *
   * @throws AppError `media_unreadable`
   */
  load(): Promise<Uint8Array>;
};

export type Sample = Excerpt & {
  readonly caption: string;
  /** What the model is shown beside it: the same window of the reference, in the same shape. */
  readonly reference?: Excerpt | undefined;
};

export type Dataset = {
  readonly samples: readonly Sample[];
  readonly report: DatasetReport;
  /** sha256 over every sample's id, caption and reference, in order. */
  readonly hash: string;
};
