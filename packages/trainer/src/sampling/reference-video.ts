/** The video that a sample follows (IC-LoRA): from a path, an address or a data URI to pixels of the right shape. */
import { tmpdir } from "node:os";
import { examine } from "../dataset/samples.ts";
import type { PrepareContext } from "../dataset/types.ts";
import { withTemporaryFolder } from "../files/temporary-folder.ts";
import { unreadable } from "../media/ffmpeg/probe.ts";
import { fileKind } from "../media/media-kinds.ts";
import type { VideoShape } from "../plan.ts";
import { locateFile } from "../source/open.ts";
import { type SourcePolicy, sourceName } from "../source/policy.ts";

/** One video of some seconds; a dataset's limits would let it fill the disk. */
const limits = { downloadBytes: 2 ** 30, downloadTimeoutMs: 10 * 60_000 };

/**
 * The first frames of the video as `[f, h, w, 3]`, sRGB, cut to the shape and the frame rate as a training sample is.
 *
 * @param options.autoScale show the whole video in that many frames instead
 * @throws AppError `source_not_found`, `download_failed`, `media_unreadable`, the last also when it is too short
 */
export async function loadReferenceVideo(
  source: string,
  shape: VideoShape,
  options: Options,
): Promise<Uint8Array> {
  const name = `reference video ${options.nameOf?.(source) ?? sourceName(source)}`;
  const { signal, scratch = tmpdir() } = options;
  return withTemporaryFolder(scratch, async (workFolder) => {
    const path = await locateFile(source, {
      ...options,
      limits: { ...limits, ...options.limits },
      workFolder,
    });
    const kind = fileKind(path) === "image" ? "image" : "video";
    const { autoScale, temporalCompression } = options;
    const cut = { ...shape, ...wholeClip, autoScale, temporalCompression };
    const found = await examine({ path, name, kind }, cut, signal);
    const excerpt = found.pieces[0]?.excerpt;
    if (excerpt === undefined) throw unreadable(name, found.reason ?? "no frames in it");
    if (excerpt.frames !== shape.frames)
      throw unreadable(name, `got an image, expected a video of at least ${shape.frames} frames`);
    return await excerpt.load();
  });
}

/** One window, at the full length. */
const wholeClip = {
  triggerPhrase: "",
  referenceVideos: false,
  resampleFrameRate: true,
  useAllFootage: false,
  mixedShapes: false,
} as const;

type Options = SourcePolicy &
  Pick<PrepareContext, "limits" | "signal"> & {
    readonly autoScale: boolean;
    /** Frames per latent frame after the first. */
    readonly temporalCompression: number;
    /** Where a download is put until it is decoded. Default: the system's temporary folder. */
    readonly scratch?: string | undefined;
  };
