/**
 * The pre-flight report of a dataset: what happens to every file, and why. Written as `dataset-report.json`, and the
 * answer of `inspect`.
 */
import { z } from "zod";

/** Where a caption came from. */
const captionSources = ["text file", "trigger phrase", "file name", "none"] as const;

/** A stretch of a file that becomes one training sample. */
export const ReportSample = z.object({
  id: z.string(),
  frames: z.int().min(1),
  width: z.int().min(1),
  height: z.int().min(1),
  /** Frames per second of the sample. */
  frameRate: z.number().gt(0),
  /** Seconds into the file at which it starts, and how many of them it covers; 0 for images. */
  startSeconds: z.number().min(0),
  durationSeconds: z.number().min(0),
});

export const ReportFile = z.object({
  /** Path inside the archive or folder. */
  path: z.string(),
  status: z.enum(["kept", "dropped", "ignored"]),
  /** A reference is a video or image that another one is trained with. */
  kind: z.enum(["video", "image", "reference", "caption", "other"]),
  /** Why it was dropped or ignored. */
  reason: z.string().optional(),
  /** What was noticed but did not stop it: cut tails, guessed rotations. */
  notes: z.array(z.string()).optional(),
  sizeBytes: z.int().min(0),
  /** Of the media as displayed, after rotation. */
  width: z.int().optional(),
  height: z.int().optional(),
  durationSeconds: z.number().optional(),
  /** Frames per second as stored, on average. */
  sourceFrameRate: z.number().optional(),
  caption: z.string().optional(),
  captionSource: z.enum(captionSources).optional(),
  samples: z.array(ReportSample),
});
export type ReportFile = z.infer<typeof ReportFile>;
export type ReportSample = z.infer<typeof ReportSample>;

export const DatasetReport = z.object({
  /** As given by the user; a data URI is shortened. */
  source: z.string(),
  /** sha256 of everything that decides the samples: media, captions, windows, sizes. */
  hash: z.string(),
  totals: z.object({
    files: z.int(),
    /** Videos and images. */
    kept: z.int(),
    dropped: z.int(),
    /** Files that take no part. */
    ignored: z.int(),
    samples: z.int(),
    videoSamples: z.int(),
    imageSamples: z.int(),
    /** Seconds of footage the samples cover. */
    footageSeconds: z.number(),
  }),
  /** Plain sentences about the dataset as a whole. */
  warnings: z.array(z.string()),
  files: z.array(ReportFile),
});
export type DatasetReport = z.infer<typeof DatasetReport>;
